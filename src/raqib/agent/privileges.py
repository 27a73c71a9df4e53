"""What the agent needs of whoever starts it."""

from __future__ import annotations

import os

from raqib.errors import NotPermittedError


def require_root(what: str) -> None:
    """Refuse early, with one clear line, what only root can do.

    Raises:
        NotPermittedError: somebody else asks.
    """
    if os.geteuid() != 0:
        raise NotPermittedError(f"{what}: expected root, found uid {os.geteuid()}: run it with sudo")
