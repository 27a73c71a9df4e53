"""YAML becomes a checked specification, and that a compiled set. Pure: no privileges, no kernel, deterministic."""
