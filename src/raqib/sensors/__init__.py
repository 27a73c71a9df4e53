"""Raw records become typed observations."""
