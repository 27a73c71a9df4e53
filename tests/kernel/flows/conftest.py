from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raqib.sensors.files import FileSensor
from raqib.sensors.processes import ProcessTable
from tests.cgroups import new_cgroup
from tests.kernel.flows.flowing import Flowing


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A cgroup of its own, to which programs may be attached."""
    with new_cgroup("flows") as made:
        yield made


@pytest.fixture(scope="session")
def processes() -> Iterator[ProcessTable]:
    """Knows the processes."""
    sensor = FileSensor()
    try:
        sensor.start(lambda seen: None)
        yield sensor.processes
    finally:
        sensor.close()


@pytest.fixture
def make_flowing(cgroup: Path, processes: ProcessTable) -> Iterator[Callable[..., Flowing]]:
    """Makes a flow sensor with maps of the given sizes, not started."""
    made: list[Flowing] = []

    def make(sizes: dict[str, int] | None = None) -> Flowing:
        made.append(Flowing(cgroup, processes, sizes))
        return made[-1]

    yield make
    for opened in made:
        opened.close()


@pytest.fixture
def flowing(make_flowing: Callable[..., Flowing]) -> Flowing:
    """A flow sensor that runs."""
    one = make_flowing()
    one.start()
    return one
