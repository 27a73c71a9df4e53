"""The ways to a file: whatever they are, its true path is told, and the name that was used beside it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from raqib.model.actions import ALL_ACTIONS, FileAction
from raqib.model.observation import FileObservation
from raqib.sensors.files import Interests
from tests.kernel.acting import AT_FDCWD, Argument, Call, Watch, arguments_of, below, text
from tests.kernel.test_actions import LINK, OPEN, RENAME, TRUNCATE, UNLINK, opened

MS_BIND, CLONE_NEWNS, MS_REC, MS_PRIVATE = 4096, 0x20000, 16384, 1 << 18
UNSHARE: list[Call] = [["unshare", CLONE_NEWNS], ["mount", 0, text("/"), 0, MS_REC | MS_PRIVATE, 0]]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """dir/file; alias -> dir; dir/link -> file; other/"""
    (tmp_path / "dir").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "dir/file").write_bytes(b"content")
    (tmp_path / "alias").symlink_to("dir")
    (tmp_path / "dir/link").symlink_to("file")
    return tmp_path


def names(seen: FileObservation, directory: Path) -> list[str]:
    return [os.fsdecode(name).removeprefix(f"{directory}/") for name in seen.names]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dir/file", ["dir/file"]),
        ("./dir//./file", ["dir/file"]),
        ("dir/../dir/file", ["dir/file"]),
        ("dir/link", ["dir/file", "dir/link"]),
        ("alias/file", ["dir/file", "alias/file"]),
        ("alias/link", ["dir/file", "alias/link"]),
        ("alias/../other/../alias/link", ["dir/file", "alias/link"]),
    ],
)
@pytest.mark.parametrize("base", ["absolute", "cwd", "descriptor", "chdir"])
def test_open(watch: Watch, tree: Path, name: str, expected: list[str], base: str) -> None:
    calls: list[Call]
    match base:
        case "absolute":
            calls = [["openat", AT_FDCWD, text(f"{tree}/{name}"), 0]]
        case "cwd":
            calls = [["openat", AT_FDCWD, text(name), 0]]
        case "descriptor":
            calls = [opened(tree, os.O_PATH), ["openat", "$f", text(name), 0]]
        case _:
            calls = [["chdir", tree / "other"], ["openat", AT_FDCWD, text("../" + name), 0]]
    watch.act(*calls, cwd=tree)
    (seen,) = watch.seen
    assert (expected, OPEN) == (names(seen, tree), seen.new)


def test_magic_link(watch: Watch, tree: Path) -> None:
    watch.act(["openat", AT_FDCWD, text(f"/proc/self/root{tree}/dir/file"), 0])
    assert {"dir/file": OPEN} == watch.of()
    assert (b"/proc/self/root" + os.fsencode(tree / "dir/file"),) == watch.seen[0].aliases


def test_chroot(watch: Watch, tree: Path) -> None:
    watch.act(["chroot", tree], ["chdir", text("/")], ["openat", AT_FDCWD, text("/dir/link"), 0])
    assert [["dir/file", "dir/link"]] == [names(observation, tree) for observation in watch.seen]


@pytest.fixture
def bound(tree: Path) -> Iterator[Path]:
    subprocess.run(["mount", "--bind", tree / "dir", tree / "other"], check=True)
    yield tree / "other"
    subprocess.run(["umount", tree / "other"], check=True)


def test_bind_mount(watch: Watch, tree: Path, bound: Path) -> None:
    watch.act(["openat", AT_FDCWD, bound / "file", 0])
    assert [["other/file", "dir/file"]] == [names(observation, tree) for observation in watch.seen]


def test_bind_mount_that_only_the_inner_name_gives_away(watch: Watch, tree: Path, bound: Path) -> None:
    watch.look(tree / "dir")
    watch.act(["openat", AT_FDCWD, bound / "file", 0])
    assert [os.fsencode(tree / "other/file")] == [observation.path for observation in watch.seen]
    assert os.fsencode(tree / "dir/file") == watch.seen[0].host_path


def test_mount_namespace(watch: Watch, tree: Path) -> None:
    watch.act(
        *UNSHARE,
        ["mount", text("none"), tree / "other", text("tmpfs"), 0, 0],
        opened(tree / "other/hidden", os.O_CREAT | os.O_RDWR),
    )
    assert {"other/hidden": OPEN | FileAction.CREATE} == watch.of()
    assert watch.seen[0].process.namespaces.mnt_ns != Path("/proc/self/ns/mnt").stat().st_ino


def by_name(name: str, tree: Path) -> list[tuple[list[Argument], dict[str, FileAction]]]:
    """Calls on a name that leads to dir/file, and what they do to which file."""
    new = tree / "other/new"
    return [
        (["unlinkat", AT_FDCWD, text(name), 0], {"dir/file": UNLINK}),
        (["renameat2", AT_FDCWD, text(name), AT_FDCWD, new, 0], {"dir/file": RENAME, "other/new": RENAME}),
        (["linkat", AT_FDCWD, text(name), AT_FDCWD, new, 0], {"dir/file": LINK, "other/new": LINK}),
        (["truncate", text(name), 3], {"dir/file": TRUNCATE}),
    ]


NAMES = ["alias/file", "other/../alias/file", "alias/../alias/file", "../{tree}/alias/file", "{proc}/alias/file"]


@pytest.mark.parametrize("index", range(4), ids=["unlink", "rename", "link", "truncate"])
@pytest.mark.parametrize("name", NAMES)
def test_name_through_a_link(watch: Watch, tree: Path, name: str, index: int) -> None:
    name = name.format(tree=tree.name, proc=f"/proc/self/root{tree}")
    call, expected = by_name(name, tree)[index]
    watch.act(call, cwd=tree)
    assert expected == watch.of()
    assert {False} == {observation.as_given for observation in watch.seen}


def test_dots_behind_a_link_lead_elsewhere(watch: Watch, tree: Path) -> None:
    (tree / "deep/deeper").mkdir(parents=True)
    (tree / "deep/victim").write_bytes(b"")
    (tree / "jump").symlink_to("deep/deeper")
    watch.act(["unlinkat", AT_FDCWD, tree / "jump/../victim", 0])
    assert {"deep/victim": UNLINK} == watch.of()
    # By its letters the name is another one.
    assert [["deep/victim", "victim"]] == [names(observation, tree) for observation in watch.seen]


def test_truncate_through_a_link_to_the_file(watch: Watch, tree: Path) -> None:
    watch.act(["truncate", text("link"), 3], cwd=tree / "dir")
    assert [["dir/file", "dir/link"]] == [names(observation, tree) for observation in watch.seen]


def test_what_cannot_be_told_any_more_is_as_given(watch: Watch, tree: Path) -> None:
    watch.act(
        ["unlinkat", AT_FDCWD, text("alias/file"), 0],
        ["unlinkat", AT_FDCWD, text("dir/link"), 0],
        ["unlinkat", AT_FDCWD, text("alias"), 0],
        cwd=tree,
    )
    assert {"alias/file": UNLINK, "dir/link": UNLINK, "alias": UNLINK} == watch.of()
    assert [True, False, False] == [observation.as_given for observation in watch.seen]


def test_name_in_another_mount_namespace(watch: Watch, tree: Path) -> None:
    """Its links are looked up there, as long as the process lives."""
    reads, writes = os.pipe()
    calls: list[Call] = [
        *UNSHARE,
        ["mount", text("none"), tree / "other", text("tmpfs"), 0, 0],
        ["mkdirat", AT_FDCWD, tree / "other/real", 0o700],
        ["symlinkat", text("real"), AT_FDCWD, tree / "other/fake"],
        opened(tree / "other/real/file", os.O_CREAT | os.O_RDWR),
        ["unlinkat", AT_FDCWD, tree / "other/fake/file", 0],
        ["read", reads, "buf", 1],
    ]
    child = subprocess.Popen([watch.program, *arguments_of(calls)], pass_fds=[reads])
    try:
        watch.wait(lambda: any(UNLINK in observation.new for observation in watch.seen))
        seen = watch.last(UNLINK)
        assert ["other/real/file", "other/fake/file"] == names(seen, tree)
        assert (False, OPEN | FileAction.CREATE | UNLINK) == (seen.as_given, seen.actions)
    finally:
        os.close(writes)
        assert 0 == child.wait(60)
        os.close(reads)


def test_alias_stays_with_the_descriptor(watch: Watch, tree: Path) -> None:
    """Only the name used matters to the recipe, and only a later call that does not know it."""
    watch.look(tree / "alias", _writes_below(tree / "alias"))
    watch.act(opened(tree / "alias/file"), ["write", "$f", "buf", 1])
    assert [(os.fsencode(tree / "dir/file"), FileAction.WRITE, OPEN | FileAction.WRITE)] == [
        (observation.path, observation.new, observation.actions) for observation in watch.seen
    ]
    assert (os.fsencode(tree / "alias/file"),) == watch.seen[0].aliases


def _writes_below(directory: Path) -> Interests:
    # The table of syscalls must have open(2) too: some other recipe wants it.
    return below(directory, FileAction.WRITE)._replace(wanted=ALL_ACTIONS)
