"""Wiring of what runs, and nothing else: starts the rooms in order, stops them in reverse."""
