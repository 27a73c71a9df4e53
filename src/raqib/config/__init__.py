"""The settings: each with one default."""
