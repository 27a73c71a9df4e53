"""All that runs unprivileged, and nothing else. Imports itself and the protocol only."""
