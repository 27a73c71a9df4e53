from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raqib.kernel.network import find_cgroup2
from raqib.sensors.files import FileSensor
from tests.kernel.net.flowing import Flowing


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A child cgroup of its own, to which programs may be attached."""
    root = find_cgroup2()
    if root is None:
        pytest.skip("needs cgroup v2")
    made = root / f"raqib-test-{os.getpid()}"
    made.mkdir()
    yield made
    remove_cgroup(made)


def remove_cgroup(cgroup: Path) -> None:
    """What a test put there may take a moment to be gone."""
    deadline = time.monotonic() + 10
    while True:
        try:
            cgroup.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


@pytest.fixture(scope="session")
def processes() -> Iterator[FileSensor]:
    """Knows the processes."""
    sensor = FileSensor(lambda seen: None)
    try:
        sensor.start()
        yield sensor
    finally:
        sensor.close()


@pytest.fixture
def make_flowing(cgroup: Path, processes: FileSensor) -> Iterator[Callable[..., Flowing]]:
    """Makes a flow sensor with maps of the given sizes, not started."""
    made: list[Flowing] = []

    def make(sizes: dict[str, int] | None = None) -> Flowing:
        made.append(Flowing(cgroup, processes, sizes))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def flowing(make_flowing: Callable[..., Flowing]) -> Flowing:
    """A flow sensor that runs."""
    one = make_flowing()
    one.start()
    return one
