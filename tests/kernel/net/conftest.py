from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from raqib.kernel.network import find_cgroup2


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A child cgroup of its own, to which programs may be attached."""
    root = find_cgroup2()
    if root is None:
        pytest.skip("needs cgroup v2")
    made = root / f"raqib-test-{os.getpid()}"
    made.mkdir()
    yield made
    # What a test put there may take a moment to be gone.
    made.rmdir()
