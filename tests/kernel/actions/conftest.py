from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

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


Interfere = Callable[[ModuleType, str, Callable[[], None]], None]


@pytest.fixture
def interfere(monkeypatch: pytest.MonkeyPatch) -> Interfere:
    """Have something happen right before a function of a module is called."""

    def before(module: ModuleType, name: str, happen: Callable[[], None]) -> None:
        real = getattr(module, name)

        def call(*arguments: Any) -> Any:
            happen()
            return real(*arguments)

        monkeypatch.setattr(module, name, call)

    return before
