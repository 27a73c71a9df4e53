"""Recipe files on disk: read, selected, reloaded."""
