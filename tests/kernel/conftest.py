from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kernel.acting import Watch

SOURCE = Path(__file__).parent / "act.c"


@pytest.fixture(scope="session")
def act_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("act") / "act"
    subprocess.run(["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, SOURCE, "-pthread"], check=True)
    return program


@pytest.fixture(scope="session")
def session_watch(act_program: Path) -> Iterator[Watch]:
    made = Watch(act_program)
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def watch(session_watch: Watch, tmp_path: Path) -> Watch:
    """The sensor, interested in `tmp_path` only."""
    session_watch.look(tmp_path)
    return session_watch


@pytest.fixture
def make_watch(act_program: Path) -> Iterator[Callable[[dict[str, int]], Watch]]:
    """Makes a sensor of its own, with maps of the given sizes."""
    made: list[Watch] = []

    def make(sizes: dict[str, int]) -> Watch:
        made.append(Watch(act_program, sizes))
        return made[-1]

    yield make
    for opened in made:
        opened.close()
