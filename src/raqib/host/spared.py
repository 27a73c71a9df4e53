"""Whom the kernel ends when the host is out of memory: anybody else before the daemon, which may be the largest."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

SPARED: Final = -900
"""Of -1000, which is never. The daemon's own memory is bounded; should that fail, it still ends before the host."""
USUAL: Final = 0


def be_spared() -> int | None:
    """Let the calling process, and whatever it starts from now on, be ended after others.

    Returns what was set before; None if nothing was changed: it is spared already, or may not choose.
    """
    place = Path("/proc/self/oom_score_adj")
    with contextlib.suppress(OSError):
        before = int(place.read_text())
        if before > SPARED:
            place.write_text(str(SPARED))
            return before
    return None


def be_usual(score: int = USUAL) -> None:
    """Let the calling process be ended like any other again."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(score))
