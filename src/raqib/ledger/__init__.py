"""The audit trail: written, rotated, read, proven."""
