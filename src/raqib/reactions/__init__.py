"""Queue, workers, broker, limits. Knows no action's details.

The public names are loaded when they are first used: a worker process imports this package too, and has no use for
them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raqib.reactions.check import ReactionProblem, action_of, check_reaction, check_reactions, doubts_about
    from raqib.reactions.service import Reactions
    from raqib.reactions.settings import ReactionSettings

__all__ = [
    "ReactionProblem",
    "ReactionSettings",
    "Reactions",
    "action_of",
    "check_reaction",
    "check_reactions",
    "doubts_about",
]

_HOMES = {
    "ReactionProblem": "check",
    "Reactions": "service",
    "ReactionSettings": "settings",
    "action_of": "check",
    "check_reaction": "check",
    "check_reactions": "check",
    "doubts_about": "check",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
