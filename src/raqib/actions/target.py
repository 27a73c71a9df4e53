"""What an action was done to, in a few words for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = ("path", "ip", "domain", "key", "title")
_LONGEST = 400
_MOST_TARGETS = 4


def describe_target(facts: Mapping[str, Any]) -> str:
    """Return it from an action's arguments and details, as the ledger has them; empty if there is none."""
    if isinstance(pid := facts.get("pid"), int):
        return f"pid {pid}"
    if isinstance(targets := facts.get("targets"), list | tuple):
        shown = ", ".join(map(str, targets[:_MOST_TARGETS]))
        left = len(targets) - _MOST_TARGETS
        return f"{shown} and {left} more" if left > 0 else shown
    if "from" in facts and "toDir" in facts:
        return f"{facts['from']} to {facts['toDir']}"[:_LONGEST]
    found = next((facts[name] for name in _NAMES if isinstance(facts.get(name), str)), "")
    return found[:_LONGEST]
