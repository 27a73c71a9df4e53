"""Each of the fifteen actions, by every call that performs it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from raqib.model.actions import FileAction
from tests.kernel.acting import AT_FDCWD, Argument, Watch, argv, text

FASYNC, FLOCK, FSYNC, LLSEEK = FileAction.FASYNC, FileAction.FLOCK, FileAction.FSYNC, FileAction.LLSEEK
MMAP, OPEN, READ, WRITE, RENAME = FileAction.MMAP, FileAction.OPEN, FileAction.READ, FileAction.WRITE, FileAction.RENAME
TRUNCATE, UNLINK, CREATE = FileAction.TRUNCATE, FileAction.UNLINK, FileAction.CREATE
CLOSE, LINK, EXECVE = FileAction.CLOSE, FileAction.LINK, FileAction.EXECVE
EXECUTED = OPEN | READ | MMAP | CLOSE | EXECVE

O_ASYNC, F_SETFL, FIOASYNC = 0o20000, 4, 0x5452
AT_EMPTY_PATH, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, RENAME_EXCHANGE = 0x1000, 0x200, 0x400, 2
MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS, PROT_READ = 1, 2, 0x20, 1


def opened(path: Path, flags: int = os.O_RDWR, name: str = "f") -> list[Argument]:
    return ["openat", AT_FDCWD, path, flags, 0o600, "as", name]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(8192))
    return path


@pytest.mark.parametrize(
    ("call", "action"),
    [
        pytest.param(["fcntl", "$f", F_SETFL, O_ASYNC], FASYNC, id="fcntl"),
        pytest.param(["flock", "$f", 1], FLOCK, id="flock"),
        pytest.param(["fsync", "$f"], FSYNC, id="fsync"),
        pytest.param(["fdatasync", "$f"], FSYNC, id="fdatasync"),
        pytest.param(["lseek", "$f", 1, 0], LLSEEK, id="lseek"),
        pytest.param(["lseek", "$f", 3 << 30, 0], LLSEEK, id="lseek beyond 2 GiB"),
        pytest.param(["mmap", 0, 4096, PROT_READ, MAP_SHARED, "$f", 0], MMAP, id="mmap"),
        pytest.param(["mmap", 0x7080_9000_0000, 4096, PROT_READ, MAP_PRIVATE | 0x10, "$f", 0], MMAP, id="mmap, bit 31"),
        pytest.param(["mmap", 0x7080_7000_0000, 4096, PROT_READ, MAP_PRIVATE | 0x10, "$f", 0], MMAP, id="mmap, not 31"),
        pytest.param(["read", "$f", "buf", 9], READ, id="read"),
        pytest.param(["pread64", "$f", "buf", 9, 0], READ, id="pread64"),
        pytest.param(["readv", "$f", "iov", 1], READ, id="readv"),
        pytest.param(["preadv", "$f", "iov", 1, 0, 0], READ, id="preadv"),
        pytest.param(["preadv2", "$f", "iov", 1, 0, 0, 0], READ, id="preadv2"),
        pytest.param(["write", "$f", "buf", 9], WRITE, id="write"),
        pytest.param(["pwrite64", "$f", "buf", 9, 0], WRITE, id="pwrite64"),
        pytest.param(["writev", "$f", "iov", 1], WRITE, id="writev"),
        pytest.param(["pwritev", "$f", "iov", 1, 0, 0], WRITE, id="pwritev"),
        pytest.param(["pwritev2", "$f", "iov", 1, 0, 0, 0], WRITE, id="pwritev2"),
        pytest.param(["fallocate", "$f", 0, 0, 9000], WRITE, id="fallocate"),
        pytest.param(["ftruncate", "$f", 5], TRUNCATE, id="ftruncate"),
        pytest.param(["close", "$f"], CLOSE, id="close"),
        pytest.param(["close_range", "$f", 0x7FFFFFFF, 0], CLOSE, id="close_range"),
        pytest.param(["close_range", "$f", 0xFFFFFFFF, 2], CLOSE, id="close_range, unshared table"),
    ],
)
def test_call_on_a_descriptor(watch: Watch, file: Path, call: list[Argument], action: FileAction) -> None:
    watch.act(opened(file), call)
    assert {"file": OPEN | action} == watch.of()


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(["fcntl", "$f", F_SETFL, 0], id="fcntl of another flag"),
        pytest.param(["fcntl", "$f", 1], id="fcntl of another command"),
        pytest.param(["close_range", "$f", 0xFFFFFFFF, 4], id="close_range that only marks"),
        pytest.param(["mmap", 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, "$f", 0], id="mmap of no file"),
        pytest.param(["!", "read", "$f", 1, 9], id="failed read"),
        pytest.param(["!", "lseek", "$f", -5, 0], id="failed lseek"),
        pytest.param(["!", "mmap", 0, 4096, PROT_READ, MAP_PRIVATE, "$f", 1], id="failed mmap"),
        pytest.param(["!", "close", 77], id="close of nothing"),
        pytest.param(["exit_group", 0], id="exit is no close"),
    ],
)
def test_call_that_is_nothing(watch: Watch, file: Path, call: list[Argument]) -> None:
    watch.act(opened(file), call)
    assert {"file": OPEN} == watch.of()


def test_fasync_by_ioctl(watch: Watch, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    watch.act(opened(tmp_path / "fifo"), ["ioctl", "$f", FIOASYNC, text("on")])
    assert {"fifo": OPEN | FASYNC} == watch.of()


def test_reading_a_directory(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    watch.act(opened(tmp_path / "dir", os.O_RDONLY), ["getdents64", "$f", "buf", 4096])
    assert {"dir": OPEN | READ} == watch.of()


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(["sendfile", "$to", "$f", 0, 100], id="sendfile"),
        pytest.param(["copy_file_range", "$f", 0, "$to", 0, 100, 0], id="copy_file_range"),
    ],
)
def test_copying(watch: Watch, file: Path, tmp_path: Path, call: list[Argument]) -> None:
    watch.act(opened(file), opened(tmp_path / "to", os.O_RDWR | os.O_CREAT, "to"), call)
    assert {"file": OPEN | READ, "to": OPEN | CREATE | WRITE} == watch.of()


def test_splice_from_and_to_a_pipe(watch: Watch, file: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    watch.act(opened(file), opened(fifo, name="p"), ["splice", "$f", 0, "$p", 0, 10, 0])
    assert {"file": OPEN | READ, "fifo": OPEN | WRITE} == watch.of()


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x86-64 has these calls, newer processors do not")
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        pytest.param(["open", "file", 0], {"file": OPEN}, id="open"),
        pytest.param(["open", "file", os.O_CREAT], {"file": OPEN}, id="open, nothing to create"),
        pytest.param(["open", "new", os.O_CREAT | os.O_RDWR, 0o600], {"new": OPEN | CREATE}, id="open that creates"),
        pytest.param(["creat", "new", 0o600], {"new": OPEN | CREATE}, id="creat"),
        pytest.param(["creat", "file", 0o600], {"file": OPEN | TRUNCATE}, id="creat of what is there"),
        pytest.param(["unlink", "file"], {"file": UNLINK}, id="unlink"),
        pytest.param(["rmdir", "dir"], {"dir": UNLINK}, id="rmdir"),
        pytest.param(["rename", "file", "new"], {"file": RENAME, "new": RENAME}, id="rename"),
        pytest.param(["link", "file", "new"], {"file": LINK, "new": LINK}, id="link"),
        pytest.param(["symlink", b"s:/none", "new"], {"new": CREATE}, id="symlink"),
        pytest.param(["mkdir", "new", 0o700], {"new": CREATE}, id="mkdir"),
        pytest.param(["mknod", "new", 0o010600, 0], {"new": CREATE}, id="mknod"),
    ],
)
@pytest.mark.parametrize("relative", [False, True], ids=["absolute", "relative"])
def test_call_with_a_name(
    watch: Watch, file: Path, tmp_path: Path, call: list[Argument], expected: dict[str, FileAction], relative: bool
) -> None:
    (tmp_path / "dir").mkdir()
    names = {name: text(name if relative else tmp_path / name) for name in ("file", "new", "dir")}
    watch.act([call[0], *(names.get(str(argument), argument) for argument in call[1:])], cwd=tmp_path)
    assert expected == watch.of()
    assert [False] * len(watch.seen) == [observation.as_given for observation in watch.seen]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        pytest.param(["openat", "D", "file", os.O_RDWR | os.O_TRUNC], {"file": OPEN | TRUNCATE}, id="O_TRUNC"),
        pytest.param(["openat", "D", "new", os.O_CREAT | os.O_TRUNC, 0o600], {"new": OPEN | CREATE}, id="O_CREAT"),
        pytest.param(["openat2", "D", "file", f"how:{os.O_RDONLY},0,0", 24], {"file": OPEN}, id="openat2"),
        pytest.param(
            ["openat2", "D", "file", f"how:{os.O_RDWR | os.O_TRUNC},0,0", 24], {"file": OPEN | TRUNCATE}, id="openat2 T"
        ),
        pytest.param(["truncate", "file", 4], {"file": TRUNCATE}, id="truncate"),
        pytest.param(["unlinkat", "D", "file", 0], {"file": UNLINK}, id="unlinkat"),
        pytest.param(["unlinkat", "D", "dir", AT_REMOVEDIR], {"dir": UNLINK}, id="unlinkat of a directory"),
        pytest.param(["renameat", "D", "file", "D", "new"], {"file": RENAME, "new": RENAME}, id="renameat"),
        pytest.param(
            ["renameat2", "D", "file", "D", "dir", RENAME_EXCHANGE], {"file": RENAME, "dir": RENAME}, id="renameat2"
        ),
        pytest.param(["linkat", "D", "file", "D", "new", 0], {"file": LINK, "new": LINK}, id="linkat"),
        pytest.param(["symlinkat", b"s:/none", "D", "new"], {"new": CREATE}, id="symlinkat"),
        pytest.param(["mkdirat", "D", "new", 0o700], {"new": CREATE}, id="mkdirat"),
        pytest.param(["mknodat", "D", "new", 0o010600, 0], {"new": CREATE}, id="mknodat"),
    ],
)
@pytest.mark.parametrize("base", ["descriptor", "cwd", "absolute"])
def test_call_with_a_directory_and_a_name(
    watch: Watch, file: Path, tmp_path: Path, call: list[Argument], expected: dict[str, FileAction], base: str
) -> None:
    (tmp_path / "dir").mkdir()
    words: dict[str, Argument] = {
        name: text(tmp_path / name if base == "absolute" else name) for name in ("file", "new", "dir")
    }
    words["D"] = "$D" if base == "descriptor" else AT_FDCWD
    if call[0] == "truncate" and base == "descriptor":
        base = "cwd"
    directory: list[Argument] = ["openat", AT_FDCWD, tmp_path, os.O_PATH, 0, "as", "D"]
    watch.act(
        directory,
        [call[0], *(words.get(str(argument), argument) for argument in call[1:])],
        cwd=tmp_path if base == "cwd" or call[0] == "truncate" else None,
    )
    assert expected == watch.of()
    assert [False] * len(watch.seen) == [observation.as_given for observation in watch.seen]


def test_linkat_of_a_descriptor(watch: Watch, file: Path, tmp_path: Path) -> None:
    watch.act(opened(file), ["linkat", "$f", text(""), AT_FDCWD, tmp_path / "new", AT_EMPTY_PATH])
    assert {"file": OPEN | LINK, "new": LINK} == watch.of()


def test_linkat_that_follows(watch: Watch, file: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(file)
    watch.act(["linkat", AT_FDCWD, tmp_path / "alias", AT_FDCWD, tmp_path / "new", AT_SYMLINK_FOLLOW])
    assert {"file": LINK, "new": LINK} == watch.of()


def test_linkat_that_does_not_follow(watch: Watch, file: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(file)
    watch.act(["linkat", AT_FDCWD, tmp_path / "alias", AT_FDCWD, tmp_path / "new", 0])
    assert {"alias": LINK, "new": LINK} == watch.of()


def test_unnamed_file(watch: Watch, tmp_path: Path) -> None:
    watch.act(opened(tmp_path, os.O_TMPFILE | os.O_RDWR), ["write", "$f", "buf", 1])
    ((name, actions),) = watch.of().items()
    assert OPEN | WRITE == actions & ~CREATE
    assert name.startswith("#")
    assert watch.seen[-1].deleted


def test_location_only_is_no_open_and_no_close(watch: Watch, file: Path) -> None:
    watch.act(opened(file, os.O_PATH), ["close", "$f"])
    assert {} == watch.of()


@pytest.mark.parametrize(
    "call",
    [
        ["openat", AT_FDCWD, "none", 0],
        ["openat", AT_FDCWD, "file", os.O_CREAT | os.O_EXCL, 0o600],
        ["unlinkat", AT_FDCWD, "none", 0],
        ["unlinkat", AT_FDCWD, "file", AT_REMOVEDIR],
        ["mkdirat", AT_FDCWD, "file", 0o700],
        ["renameat2", AT_FDCWD, "none", AT_FDCWD, "file", 0],
        ["truncate", "none", 0],
        ["execve", "none", *argv("none")],
    ],
)
def test_failed_call_is_nothing(watch: Watch, file: Path, tmp_path: Path, call: list[Argument]) -> None:
    words: dict[str, Argument] = {"none": tmp_path / "none", "file": file}
    watch.act(["!", call[0], *(words.get(str(argument), argument) for argument in call[1:])])
    assert {} == watch.of()


def test_socket_and_pipe_have_no_name(watch: Watch) -> None:
    one, other = socket.socketpair()
    with one, other:
        watch.act(["pipe2", "buf", 0], ["write", 2, text(""), 0])
    assert {} == watch.of()


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the 32-bit gate of x86-64")
def test_calls_of_32_bits(watch: Watch, file: Path) -> None:
    opened_32: list[Argument] = ["int80", 5, file, os.O_RDONLY, 0, "as", "f"]
    watch.act(opened_32, ["int80", 3, "$f", 0, 0], ["int80", 10, file])
    assert {"file": OPEN | READ | UNLINK} == watch.of()
