"""Observation and compiled set become matches, and verdicts for the kernel."""
