"""The printer that keeps nothing: for measuring, and for running reactions without output."""

from __future__ import annotations

from raqib.model.event import Event


class VoidPrinter:
    """Takes events and forgets them."""

    name = "void"
    local = False
    compact = False
    reads_events = False

    def print(self, event: Event | None, line: bytes) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
