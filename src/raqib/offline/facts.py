"""Facts of what was recorded or printed."""

from __future__ import annotations

from raqib.matcher.ancestry import KnownAncestry
from raqib.matcher.facts import Facts
from raqib.model.flow import FlowObservation
from raqib.offline.recording import Recorded


def facts_of(recorded: Recorded) -> Facts:
    """Return what conditions can ask of an observation."""
    seen, ancestry = recorded.seen, KnownAncestry(recorded.ancestors)
    if isinstance(seen, FlowObservation):
        return Facts(seen.process, ancestry, flow=seen)
    return Facts(seen.process, ancestry, file=seen)
