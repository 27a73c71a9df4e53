"""What this host says, read safely. Knows nothing of raqib."""
