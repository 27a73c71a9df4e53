"""The only place that wires stages; starts and stops them in order.

The public names are loaded when they are first used: a command that asks a running agent has no use for one of its own.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raqib.agent.agent import Agent
    from raqib.config.config import Config, load_config
    from raqib.library.library import gather

__all__ = ["Agent", "Config", "gather", "load_config"]

_HOMES = {"Agent": "agent", "Config": "config", "load_config": "config", "gather": "library"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
