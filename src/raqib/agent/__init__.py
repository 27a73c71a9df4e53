"""The only place that wires stages; starts and stops them in order."""
