"""The names that processes really got."""
