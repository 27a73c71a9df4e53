"""Load, attach, maps, ring buffer, feature probes. The only code that talks to libbpf; no policy."""
