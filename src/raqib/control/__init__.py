"""Who steers a running agent: its socket, its status, its switch."""
