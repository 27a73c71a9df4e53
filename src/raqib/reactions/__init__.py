"""Queue, workers, broker, limits. Knows no action's details."""
