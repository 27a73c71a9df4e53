"""Names as attackers write them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from raqib.model.actions import NO_ACTIONS
from raqib.sensors.files import Hint, Interests
from tests.kernel.acting import AT_FDCWD, Call, Watch, below, text
from tests.kernel.test_actions import CREATE, OPEN, UNLINK, opened
from tests.kernel.test_ways import UNSHARE

PATH_MAX = 4096


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(b"new\nline", id="newline"),
        pytest.param(b"\x1b[2Jescape\x07", id="escape"),
        pytest.param(b"\xff\xfe\x80", id="no UTF-8"),
        pytest.param("اسم".encode(), id="another script"),
        pytest.param(b"n" * 255, id="255 bytes"),
        pytest.param(b"n" * 248, id="a whole number of words"),
        pytest.param(b" ", id="blank"),
        pytest.param(b"...", id="three dots"),
        pytest.param(b"..n", id="two dots and more"),
        pytest.param(b"(deleted)", id="looks deleted"),
        pytest.param(b"x (deleted)", id="looks deleted too"),
    ],
)
def test_component(watch: Watch, tmp_path: Path, name: bytes) -> None:
    path = os.fsencode(tmp_path) + b"/" + name
    watch.act(["openat", AT_FDCWD, text(path), os.O_CREAT | os.O_RDWR, 0o600], ["unlinkat", AT_FDCWD, text(path), 0])
    assert [(path, OPEN | CREATE), (path, UNLINK)] == [
        (observation.path, observation.new) for observation in watch.seen
    ]
    assert [False, False] == [observation.as_given for observation in watch.seen]


def test_depth(watch: Watch, tmp_path: Path) -> None:
    path = tmp_path.joinpath(*["d"] * 200)
    path.mkdir(parents=True)
    watch.act(opened(path / "file", os.O_CREAT | os.O_RDWR), ["unlinkat", AT_FDCWD, path / "file", 0])
    assert {str(path / "file").removeprefix(f"{tmp_path}/"): OPEN | CREATE | UNLINK} == watch.of()


def test_longest_name(watch: Watch, tmp_path: Path) -> None:
    room = PATH_MAX - 1 - len(os.fsencode(tmp_path))
    parts = ["p" * 199] * (room // 200)
    last = "l" * (room - 200 * len(parts) - 1) if room % 200 > 1 else ""
    assert last
    directory = tmp_path.joinpath(*parts)
    directory.mkdir(parents=True)
    path = directory / last
    assert PATH_MAX - 1 == len(os.fsencode(path))
    watch.act(opened(path, os.O_CREAT | os.O_RDWR), ["unlinkat", AT_FDCWD, path, 0])
    assert {str(path).removeprefix(f"{tmp_path}/"): OPEN | CREATE | UNLINK} == watch.of()
    assert {False} == {observation.as_given for observation in watch.seen}


@pytest.mark.parametrize("count", [25, 150], ids=["little", "much"])
def test_path_that_is_too_long_is_told_from_its_root_and_its_end(watch: Watch, tmp_path: Path, count: int) -> None:
    component = "c" * 200
    watch.act(
        ["chdir", tmp_path], ["descend", text(component), count], opened_here("needle"), ["unlinkat", AT_FDCWD,
        text("needle"), 0],
    )  # fmt: skip
    seen = [observation for observation in watch.seen if OPEN in observation.new]
    assert 1 == len(seen)
    assert seen[0].path.startswith(os.fsencode(tmp_path / component))
    assert [True] == [name.endswith(b"/needle") for name in seen[0].aliases]
    assert UNLINK in {action for observation in watch.seen for action in observation.new}


def test_long_name_that_is_only_named(watch: Watch, tmp_path: Path) -> None:
    """A name with a slash is resolved later; where it cannot be, its end still counts."""
    needle = Interests(UNLINK, NO_ACTIONS, [Hint("base", b"needle", UNLINK)],
                    lambda name: UNLINK if name.endswith(b"/needle") else NO_ACTIONS)  # fmt: skip
    watch.look(tmp_path, needle)
    watch.act(
        ["chdir", tmp_path], ["descend", text("c" * 200), 25], opened_here("needle"),
        ["unlinkat", AT_FDCWD, text("../" + "c" * 200 + "/needle"), 0],
    )  # fmt: skip
    seen = [observation for observation in watch.seen if observation.process.pid == watch.pid]
    assert [UNLINK] == [observation.new for observation in seen]
    assert seen[0].as_given


@pytest.mark.parametrize("count", [1100, 2500], ids=["deep", "deeper than can be told"])
@pytest.mark.parametrize("by", ["base", "tree"])
def test_path_with_many_components(watch: Watch, tmp_path: Path, by: str, count: int) -> None:
    base = Interests(OPEN, NO_ACTIONS, [Hint("base", b"needle", OPEN)],
                  lambda name: OPEN if name.endswith(b"/needle") else NO_ACTIONS)  # fmt: skip
    watch.look(tmp_path, base if by == "base" else below(tmp_path, OPEN))
    watch.act(["chdir", tmp_path], ["descend", text("d"), count], opened_here("needle"))
    seen = [
        observation for observation in watch.seen if observation.process.pid == watch.pid and OPEN in observation.new
    ]
    assert by == "base" or seen[-1].path.startswith(os.fsencode(tmp_path) + b"/d/d/")
    assert seen[-1].path.endswith(b"/needle") or any(name.endswith(b"/needle") for name in seen[-1].aliases)


def test_many_mounts_on_one_place(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stack: list[Call] = [["mount", text("none"), tmp_path / "other", text("tmpfs"), 0, 0]] * 1200
    watch.act(*UNSHARE, *stack, opened(tmp_path / "other/needle", os.O_CREAT | os.O_RDWR))
    assert {"other/needle": OPEN | CREATE} == watch.of()


def opened_here(name: str) -> Call:
    return ["openat", AT_FDCWD, text(name), os.O_CREAT | os.O_RDWR, 0o600]


@pytest.fixture(autouse=True)
def remove_deep(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Take away what a path cannot name any more."""
    yield
    for path in tmp_path.iterdir():
        if path.is_dir():
            subprocess.run(["rm", "-r", path], check=True)
