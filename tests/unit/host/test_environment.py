from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from raqib.host import environment
from raqib.host.environment import (
    CAUTION_S,
    LEAST_PATIENCE_S,
    MOST_LEFT,
    PATIENCE_S,
    PAUSE_S,
    EnvironmentReader,
    read_environment,
)
from raqib.model.process import Process, ProcessKey
from raqib.testing import live_process

USER, OTHER = 65534, 65533


def loader(variables: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(variable for variable in variables if variable.startswith(b"LD_"))


@contextmanager
def sleeping(**variables: str) -> Iterator[Process]:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables) as started:
        assert started.stdin is not None
        assert started.stdout is not None
        started.stdin.write(b"\n")
        started.stdin.flush()
        # Once it answers, it is the program and not the child that will be it.
        assert b"\n" == started.stdout.read(1)
        yield live_process(started.pid)
        started.communicate()


def test_variables_behind_a_lot_of_others_are_found() -> None:
    padding = {f"X{number}": "x" * 120_000 for number in range(6)}
    with sleeping(**padding, LD_AUDIT="/tmp/a.so") as process:
        assert (b"LD_AUDIT=/tmp/a.so",) == read_environment(process.key, loader)


def test_another_process_of_that_number_is_not_read() -> None:
    with sleeping(LD_PRELOAD="/none.so") as process:
        other = ProcessKey(process.pid, process.key.start_ns - 10**9)
        assert () == read_environment(other, loader)
        assert () != read_environment(process.key, loader)
    assert () == read_environment(process.key, loader)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Held:
    """Reads of whatever number below zero do not come back before they are let go; all others do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.released = threading.Event()
        monkeypatch.setattr(environment, "read_environment", self.read)

    def read(self, key: ProcessKey, select: object) -> tuple[bytes, ...]:
        if key.pid < 0:
            assert self.released.wait(60)
        return (b"%d" % key.pid,)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    found = Held(monkeypatch)
    yield found
    found.released.set()


def key(number: int) -> ProcessKey:
    return ProcessKey(number, 1)


def until_read(reader: EnvironmentReader, process: ProcessKey, uid: int) -> tuple[bytes, ...]:
    """Ask again until it is known, on however busy a machine; what is refused would never be."""
    while (found := reader.read(process, uid, loader)) is None:
        assert process in reader._left
    return found


def test_others_are_read_while_one_is_held(held: Held) -> None:
    reader = EnvironmentReader()
    assert None is reader.read(key(-1), USER, loader)
    assert None is reader.read(key(-1), USER, loader)
    assert [(b"1",), (b"2",)] == [until_read(reader, key(number), 0) for number in (1, 2)]
    reader.close()


def test_a_user_who_held_one_is_not_read_for_a_while_and_root_is(held: Held) -> None:
    clock = Clock()
    reader = EnvironmentReader(clock)
    assert [None, None] == [reader.read(key(-1), USER, loader), reader.read(key(-2), 0, loader)]
    assert None is reader.read(key(3), USER, loader)
    assert key(3) not in reader._left
    assert (b"3",) == until_read(reader, key(3), 0)
    clock.now += PAUSE_S
    assert (b"4",) == until_read(reader, key(4), USER)
    reader.close()


def test_who_makes_it_wait_again_and_again_makes_it_wait_ever_shorter(held: Held) -> None:
    clock = Clock()
    reader = EnvironmentReader(clock)
    patience = []
    for number in range(MOST_LEFT - 1):
        assert None is reader.read(key(-1 - number), number, loader)
        patience.append(reader._patience_s)
    assert sorted({max(LEAST_PATIENCE_S, PATIENCE_S / 2**number) for number in range(1, MOST_LEFT)}) == sorted(
        set(patience)
    )
    clock.now += CAUTION_S
    assert None is reader.read(key(-MOST_LEFT), OTHER, loader)
    assert PATIENCE_S / 2 == reader._patience_s
    reader.close()


def test_what_comes_late_is_taken(held: Held) -> None:
    reader = EnvironmentReader()
    assert None is reader.read(key(-1), USER, loader)
    held.released.set()
    assert (b"-1",) == until_read(reader, key(-1), USER)
    reader.close()


def test_no_more_are_left_behind_than_the_limit(held: Held) -> None:
    clock, before = Clock(), set(threading.enumerate())
    reader = EnvironmentReader(clock)
    for number in range(MOST_LEFT):
        assert None is reader.read(key(-1 - number), number, loader)
    assert None is reader.read(key(1), OTHER, loader)
    assert MOST_LEFT == len(set(threading.enumerate()) - before)
    held.released.set()
    clock.now += CAUTION_S
    while any(not read.wait(1) for read in reader._left.values()):
        pass
    assert (b"1",) == until_read(reader, key(1), 0)
    reader.close()


def test_a_read_that_fails_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = EnvironmentReader(patience_s=60)
    own = live_process(os.getpid()).key

    def fail(variables: Iterable[bytes]) -> tuple[bytes, ...]:
        raise ValueError("expected by the test")

    assert () == reader.read(own, 0, fail)
    assert () != reader.read(own, 0, tuple)
    reader.close()
