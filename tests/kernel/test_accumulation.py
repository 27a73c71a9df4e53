"""Actions add up for a process and a file, so that a recipe that wants all of several matches once."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from raqib.events.ancestry import LiveAncestry
from raqib.matcher.matcher import Matcher
from raqib.model.actions import FileAction
from raqib.recipes.compile import compile_set
from raqib.recipes.load import load_text
from raqib.sensors.files import Hint, Interests
from tests.kernel.acting import AT_FDCWD, Argument, Call, Watch, arguments_of, argv, text
from tests.kernel.test_actions import AT_EMPTY_PATH, EXECUTED, MAP_PRIVATE, MMAP, OPEN, PROT_READ, READ, UNLINK, opened

RECIPE = """
- kind: test
  name: itself
  mechanism: file_access
  breed: file_access
  importance: low
  file_actions: [open, mmap, execve, unlink]
  file_actions_how: all
  bases: [{{dir: "{directory}"}}]
"""


@pytest.fixture
def program(act_program: Path, tmp_path: Path) -> Path:
    path = tmp_path / "program"
    shutil.copy(act_program, path)
    return path


@pytest.fixture
def matcher(watch: Watch, tmp_path: Path) -> Matcher:
    loaded = load_text(RECIPE.format(directory=tmp_path), "test")
    assert [] == [diagnostic for diagnostic in loaded.diagnostics if diagnostic.severity == "error"]
    compiled = compile_set(loaded.recipes)
    hints = [Hint(literal.kind, literal.value, literal.actions) for literal in compiled.literals]
    watch.look(tmp_path, Interests(compiled.wanted, compiled.residual, hints, compiled.interest))
    return Matcher(compiled)


def matches(watch: Watch, matcher: Matcher) -> list[tuple[int, FileAction]]:
    ancestry = LiveAncestry(watch.sensor.processes.find)
    return [
        (observation.process.pid, observation.actions)
        for observation in watch.seen
        for _ in matcher.match(observation, ancestry)
    ]


UNLINKS = [
    pytest.param(lambda program: ["unlinkat", AT_FDCWD, program, 0], id="by name"),
    pytest.param(lambda program: ["unlinkat", "$dir", text("program"), 0], id="below a directory"),
    pytest.param(lambda program: ["unlinkat", AT_FDCWD, program.parent / "alias/program", 0], id="through a link"),
]


@pytest.mark.parametrize("unlink", UNLINKS)
def test_all_of_four_match_once(watch: Watch, matcher: Matcher, program: Path, unlink) -> None:  # type: ignore[no-untyped-def]
    (program.parent / "alias").symlink_to(program.parent)
    calls: list[Call] = [
        opened(program, os.O_RDONLY),
        ["mmap", 0, 4096, PROT_READ, MAP_PRIVATE, "$f", 0],
        ["execve", program, *argv("program", "openat", "-100", text(program.parent), os.fsencode(str(os.O_PATH)),
                                  "0", "as", "dir", ",", *arguments(unlink(program)))],
    ]  # fmt: skip
    watch.act(*calls)
    assert [(watch.pid, EXECUTED | UNLINK)] == matches(watch, matcher)


def arguments(call: list[Argument]) -> list[bytes]:
    return [_encoded(argument) for argument in call]


def _encoded(argument: Argument) -> bytes:
    if isinstance(argument, bytes):
        return argument
    return text(argument) if isinstance(argument, Path) else os.fsencode(str(argument))


def test_three_of_four_do_not_match(watch: Watch, matcher: Matcher, program: Path) -> None:
    watch.act(
        opened(program, os.O_RDONLY),
        ["mmap", 0, 4096, PROT_READ, MAP_PRIVATE, "$f", 0],
        ["unlinkat", AT_FDCWD, program, 0],
    )
    assert OPEN | MMAP | UNLINK == watch.of()["program"]
    assert [] == matches(watch, matcher)


def test_what_was_done_by_name_first_counts(watch: Watch, matcher: Matcher, program: Path) -> None:
    """The daemon learns of the unlink, and tells the kernel, before the rest happens."""
    go = os.pipe()
    calls: list[Call] = [
        opened(program, os.O_RDONLY),
        ["unlinkat", AT_FDCWD, program, 0],
        ["read", go[0], "buf", 1],
        ["mmap", 0, 4096, PROT_READ, MAP_PRIVATE, "$f", 0],
        ["execveat", "$f", text(""), *argv("program"), AT_EMPTY_PATH],
    ]
    child = subprocess.Popen([watch.program, *arguments_of(calls)], pass_fds=[go[0]])
    try:
        watch.wait(lambda: any(UNLINK in observation.new for observation in watch.seen))
    finally:
        os.close(go[1])
        assert 0 == child.wait(60)
        os.close(go[0])
    watch.sensor.consume()
    assert [(child.pid, EXECUTED | UNLINK)] == matches(watch, matcher)


def test_forked_child_starts_empty(watch: Watch, program: Path) -> None:
    watch.act(
        opened(program, os.O_RDONLY),
        ["fork", "[", "read", "$f", "buf", 1, "]"],
        ["mmap", 0, 4096, PROT_READ, MAP_PRIVATE, "$f", 0],
    )
    assert {"program": OPEN | MMAP} == watch.of()
    (child,) = watch.keys() - {
        observation.process.key for observation in watch.seen if observation.process.pid == watch.pid
    }
    (seen,) = (observation for observation in watch.seen if observation.process.key == child)
    assert (READ, READ) == (seen.new, seen.actions)


def test_parts_of_one_match_are_told_by_threads(watch: Watch, matcher: Matcher, program: Path) -> None:
    watch.act(
        ["thread", "[", *opened(program, os.O_RDONLY), "]"],
        ["thread", "[", "mmap", 0, 4096, PROT_READ, MAP_PRIVATE, "$f", 0, "]"],
    )
    assert {"program": OPEN | MMAP} == watch.of()
    assert 1 == len(watch.keys())
