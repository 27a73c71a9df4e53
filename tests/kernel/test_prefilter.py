"""Only names that some recipe may care about reach the daemon, and each is asked for once."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from raqib.errors import RaqibError
from raqib.model.actions import ALL_ACTIONS, NO_ACTIONS, FileAction
from raqib.sensors.files import Hint, Interests
from tests.kernel.acting import AT_FDCWD, Call, Watch, arguments_of, below
from tests.kernel.test_actions import OPEN, READ, opened

NAMES = ("a/b/one", "a/b/two", "a/one", "a/bb/one", "a/b/c/d/one", "one")


class Asked:
    """The daemon's answers, and what it was asked for."""

    def __init__(self, directory: Path, meaning: FileAction) -> None:
        self.directory = directory
        self.meaning = meaning
        self.names: list[str] = []

    def __call__(self, name: bytes) -> FileAction:
        path = os.fsdecode(name)
        if path.startswith(f"{self.directory}/"):
            self.names.append(path.removeprefix(f"{self.directory}/"))
            return self.meaning
        return NO_ACTIONS


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def open_all(watch: Watch, directory: Path) -> int:
    """Let one process open all of the names; return the number of its records."""
    opens: list[Call] = [["openat", AT_FDCWD, directory / name, os.O_RDONLY] for name in NAMES]
    return records_of(watch, watch.act(*opens))


def records_of(watch: Watch, pid: int) -> int:
    """How many records of a process were taken in: the counter of the kernel side has everybody's."""
    return sum(count for (one, _), count in watch.sensor._told.items() if one == pid)


@pytest.mark.parametrize(
    ("hint", "covered"),
    [
        pytest.param(lambda d: Hint("exact", os.fsencode(d / "a/b/one"), OPEN), ["a/b/one"], id="exact"),
        pytest.param(lambda d: Hint("base", b"two", OPEN), ["a/b/two"], id="base"),
        pytest.param(lambda d: Hint("dir", os.fsencode(d / "a/b"), OPEN), ["a/b/one", "a/b/two"], id="dir"),
        pytest.param(
            lambda d: Hint("prefix", os.fsencode(d / "a/b"), OPEN), ["a/b/one", "a/b/two", "a/b/c/d/one"], id="prefix"
        ),
        pytest.param(lambda d: Hint("exact", os.fsencode(d / "a/b/one"), READ), [], id="another action"),
    ],
)
def test_hint(watch: Watch, tree: Path, hint: Callable[[Path], Hint], covered: list[str]) -> None:
    asked = Asked(tree, ALL_ACTIONS)
    watch.look(tree, Interests(OPEN, NO_ACTIONS, [hint(tree)], asked))
    assert len(covered) == open_all(watch, tree)
    assert covered == list(watch.of())
    assert set(covered) == set(asked.names)


def test_prefix_of_everything(watch: Watch, tree: Path) -> None:
    asked = Asked(tree, ALL_ACTIONS)
    watch.look(tree, Interests(OPEN, NO_ACTIONS, [Hint("prefix", b"/", OPEN)], asked))
    open_all(watch, tree)
    assert list(NAMES) == list(watch.of())


def test_residual_lets_every_name_through(watch: Watch, tree: Path) -> None:
    asked = Asked(tree, ALL_ACTIONS)
    watch.look(tree, Interests(OPEN, OPEN, [], asked))
    open_all(watch, tree)
    assert list(NAMES) == list(watch.of())


def test_verdict_is_learned(watch: Watch, tree: Path) -> None:
    asked = Asked(tree, NO_ACTIONS)
    watch.look(tree, Interests(OPEN | READ, NO_ACTIONS, [Hint("prefix", os.fsencode(tree), OPEN | READ)], asked))
    assert len(NAMES) == open_all(watch, tree)
    assert list(NAMES) == asked.names
    assert 0 == open_all(watch, tree)
    assert (list(NAMES), []) == (asked.names, watch.seen)


def test_verdict_is_narrower_than_the_hint(watch: Watch, tree: Path) -> None:
    asked = Asked(tree, READ)
    watch.look(tree, Interests(OPEN | READ, NO_ACTIONS, [Hint("prefix", os.fsencode(tree), OPEN | READ)], asked))
    open_all(watch, tree)
    watch.seen.clear()
    pid = watch.act(opened(tree / "one", os.O_RDONLY), ["read", "$f", "buf", 0])
    assert 1 == records_of(watch, pid)
    assert [(READ, OPEN | READ)] == [
        (observation.new, observation.actions) for observation in watch.seen if observation.process.pid == pid
    ]


def test_next_interests_forget_verdicts_and_reports(watch: Watch, tree: Path) -> None:
    watch.look(tree, Interests(OPEN, NO_ACTIONS, [Hint("prefix", os.fsencode(tree), OPEN)], Asked(tree, NO_ACTIONS)))
    open_all(watch, tree)
    assert 0 == open_all(watch, tree)
    watch.look(tree, below(tree, OPEN))
    assert len(NAMES) == open_all(watch, tree)


def test_living_process_reports_again_under_the_next_interests(watch: Watch, tree: Path) -> None:
    watch.look(tree, below(tree, OPEN))
    path = tree / "one"
    child = subprocess.Popen(
        [watch.program, *arguments_of([opened(path), ["read", 0, "buf", 1], opened(path)])], stdin=subprocess.PIPE
    )
    try:
        watch.wait(lambda: len(watch.seen) == 1)
        watch.look(tree, below(tree, OPEN))
    finally:
        child.communicate(b"x", timeout=20)
    watch.sensor.consume()
    assert {child.pid} == {observation.process.pid for observation in watch.seen}
    assert {"one": OPEN} == watch.of(child.pid)


def test_syscalls_that_nobody_wants_are_not_looked_at(watch: Watch, tree: Path) -> None:
    watch.look(tree, below(tree, READ))
    watch.act(opened(tree / "one"), ["lseek", "$f", 0, 0], ["read", "$f", "buf", 0])
    # What an open would have told is not known either.
    assert [(READ, READ)] == [(observation.new, observation.actions) for observation in watch.seen]


def test_too_many_literals_are_refused_and_those_of_before_stay(
    make_watch: Callable[[dict[str, int]], Watch], tmp_path: Path
) -> None:
    watch = make_watch({"literals": 64})
    watch.look(tmp_path)
    watch.start()
    many = [Hint("base", b"%d" % number, OPEN) for number in range(64)]
    with pytest.raises(RaqibError, match=r"at most 64 literals .* found 1 and 64; sensors\.literals"):
        watch.sensor.set_interests(Interests(OPEN, NO_ACTIONS, many, lambda name: NO_ACTIONS))
    (tmp_path / "a").touch()
    watch.act(["openat", AT_FDCWD, tmp_path / "a", os.O_RDONLY])
    assert "a" in watch.of()
