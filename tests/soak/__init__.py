"""A bounded soak: an agent under mixed work of own programs for as long as LONG_SOAK_S says. `make long-soak`."""
