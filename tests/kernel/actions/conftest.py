from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.unit.actions.conftest import Acting, Change, act, configure

__all__ = ["Acting", "Change", "act", "configure", "victim"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        for item in items:
            if "kernel/actions" in str(item.path):
                item.add_marker(pytest.mark.skip(reason="needs root: mounts, devices and other users' files"))


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()
