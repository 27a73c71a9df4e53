"""Cgroups of tests: programs are attached to these, and never to the root, where every process would be concerned."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raqib.kernel.network import find_cgroup2

PATIENCE_S = 60.0
_numbers = itertools.count()


@contextlib.contextmanager
def new_cgroup(name: str, below: Path | None = None) -> Iterator[Path]:
    """Make a cgroup below the root or another one, and remove it when its processes have ended."""
    root = below or find_cgroup2()
    if root is None:
        pytest.skip("needs cgroup v2")
    made = root / f"raqib-{name}-{os.getpid()}-{next(_numbers)}"
    made.mkdir()
    try:
        yield made
    finally:
        remove(made)


def remove(cgroup: Path) -> None:
    """Remove it; what was there may take a moment to be gone."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            cgroup.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def enter(cgroup: Path) -> None:
    """Move this process into a cgroup."""
    (cgroup / "cgroup.procs").write_text(str(os.getpid()))
