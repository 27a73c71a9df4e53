"""Every event is built here."""
