"""A program that starts counts as executed, its loader as read; by whichever way it was started."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from raqib.model.actions import ALL_ACTIONS, NO_ACTIONS, FileAction
from raqib.sensors.files import Hint, Interests
from tests.kernel.acting import AT_FDCWD, Call, Watch, argv, text
from tests.kernel.test_actions import AT_EMPTY_PATH, CREATE, EXECUTED, OPEN, WRITE, opened

MFD_CLOEXEC = 1
LOADER = FileAction.OPEN | FileAction.READ | FileAction.MMAP | FileAction.CLOSE


@pytest.fixture
def program(act_program: Path, tmp_path: Path) -> Path:
    path = tmp_path / "program"
    shutil.copy(act_program, path)
    return path


@pytest.fixture
def script(program: Path, tmp_path: Path) -> Path:
    path = tmp_path / "script"
    path.write_text(f"#!{program} getpid\n")
    path.chmod(0o755)
    return path


def test_execve(watch: Watch, program: Path) -> None:
    watch.act(["execve", program, *argv("program", "getpid")])
    assert {"program": EXECUTED} == watch.of()
    (seen,) = watch.seen
    assert (os.fsencode(program), (b"program", b"getpid")) == (seen.process.image.exe, seen.process.image.args)
    assert (os.fsencode(watch.program), b"program") == (
        seen.process.previous.exe if seen.process.previous else None,
        seen.process.comm,
    )


def test_relative_name(watch: Watch, program: Path, tmp_path: Path) -> None:
    watch.act(["execve", text("../" + tmp_path.name + "/program"), *argv("p")], cwd=tmp_path)
    assert {"program": EXECUTED} == watch.of()


def test_execveat(watch: Watch, program: Path, tmp_path: Path) -> None:
    watch.act(opened(tmp_path, os.O_PATH), ["execveat", "$f", text("program"), *argv("p"), 0])
    assert {"program": EXECUTED} == watch.of()
    assert () == watch.seen[-1].aliases


@pytest.mark.parametrize("flags", [os.O_PATH, os.O_PATH | os.O_CLOEXEC])
def test_by_descriptor(watch: Watch, program: Path, flags: int) -> None:
    watch.act(opened(program, flags), ["execveat", "$f", text(""), *argv("p"), AT_EMPTY_PATH])
    assert {"program": EXECUTED} == watch.of()
    assert () == watch.seen[-1].aliases


def test_by_a_link(watch: Watch, program: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to("program")
    watch.act(["execve", tmp_path / "alias", *argv("p")])
    assert {"program": EXECUTED} == watch.of()
    assert (os.fsencode(tmp_path / "alias"),) == watch.seen[-1].aliases


def test_loader(watch: Watch, program: Path, tmp_path: Path) -> None:
    content = program.read_bytes()
    original = next(
        loader for loader in (b"/lib64/ld-linux-x86-64.so.2\0", b"/lib/ld-linux-aarch64.so.1\0") if loader in content
    )
    loader = tmp_path / "ld"
    shutil.copy(os.fsdecode(original.rstrip(b"\0")), loader)
    # The name must not become longer: by a relative one.
    program.write_bytes(content.replace(original, b"ld".ljust(len(original), b"\0")))
    watch.act(["execve", program, *argv("p")], cwd=tmp_path)
    assert {"program": EXECUTED, "ld": LOADER} == watch.of()
    assert os.fsencode(loader)[:64] == watch.last(FileAction.EXECVE).process.image.loader


def test_static_program_has_no_loader(watch: Watch, tmp_path: Path) -> None:
    source = tmp_path / "nothing.c"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-static", "-o", tmp_path / "static", source], check=True)
    watch.look(tmp_path)
    watch.act(["execve", tmp_path / "static", *argv("static")])
    assert {"static": EXECUTED} == watch.of()
    assert b"" == watch.seen[-1].process.image.loader


@pytest.mark.parametrize("way", ["name", "relative", "link", "execveat", "descriptor"])
def test_script_and_interpreter(watch: Watch, script: Path, tmp_path: Path, way: str) -> None:
    (tmp_path / "alias").symlink_to("script")
    calls: list[Call]
    match way:
        case "name":
            calls = [["execve", script, *argv("x")]]
        case "relative":
            calls = [["execve", text("script"), *argv("x")]]
        case "link":
            calls = [["execve", tmp_path / "alias", *argv("x")]]
        case "execveat":
            calls = [opened(tmp_path, os.O_PATH), ["execveat", "$f", text("script"), *argv("x"), 0]]
        case _:
            calls = [opened(script, os.O_PATH), ["execveat", "$f", text(""), *argv("x"), AT_EMPTY_PATH]]
    watch.act(*calls, cwd=tmp_path)
    assert {"script": EXECUTED, "program": EXECUTED} == watch.of()
    seen = next(observation for observation in watch.seen if observation.path == os.fsencode(script))
    assert (False, os.fsencode(tmp_path / "program")) == (seen.as_given, seen.process.image.exe)
    assert ((os.fsencode(tmp_path / "alias"),) if way == "link" else ()) == seen.aliases
    if way != "descriptor":
        assert (b"alias" if way == "link" else b"script") == seen.process.comm


def test_memory_file(watch: Watch, program: Path) -> None:
    watch.look(Path("/memfd:hidden"), _exactly(b"/memfd:hidden"))
    watch.act(
        opened(program, os.O_RDONLY, "from"),
        ["memfd_create", text("hidden"), MFD_CLOEXEC, "as", "to"],
        ["sendfile", "$to", "$from", 0, 1 << 20],
        ["execveat", "$to", text(""), *argv("p"), AT_EMPTY_PATH],
    )
    assert {"/memfd:hidden": EXECUTED | WRITE} == watch.of()
    assert b"/memfd:hidden" == watch.seen[-1].process.image.exe


def _exactly(name: bytes) -> Interests:
    return Interests(
        ALL_ACTIONS,
        NO_ACTIONS,
        [Hint("exact", name, ALL_ACTIONS)],
        lambda found: ALL_ACTIONS if found == name else NO_ACTIONS,
    )


def test_deleted_program(watch: Watch, program: Path) -> None:
    watch.act(
        opened(program, os.O_RDONLY),
        ["unlinkat", AT_FDCWD, program, 0],
        ["execveat", "$f", text(""), *argv("p"), AT_EMPTY_PATH],
    )
    assert {"program": EXECUTED | FileAction.UNLINK} == watch.of()
    seen = watch.last(FileAction.EXECVE)
    assert (True, os.fsencode(program)) == (seen.deleted, seen.process.image.exe)


def test_program_made_and_run(watch: Watch, act_program: Path, tmp_path: Path) -> None:
    dropped = tmp_path / "dropped"
    watch.act(
        opened(act_program, os.O_RDONLY, "from"),
        opened(dropped, os.O_CREAT | os.O_WRONLY, "to"),
        ["sendfile", "$to", "$from", 0, 1 << 20],
        ["fsync", "$to"],
        ["close", "$to"],
        ["!", "execve", dropped, *argv("p")],
    )
    assert {"dropped": OPEN | CREATE | WRITE | FileAction.FSYNC | FileAction.CLOSE} == watch.of()
    dropped.chmod(0o700)
    pid = watch.act(["execve", dropped, *argv("p")])
    assert {"dropped": EXECUTED} == watch.of(pid)


def test_exec_from_a_thread_that_is_not_the_first(watch: Watch, program: Path) -> None:
    watch.act(["thread", "[", "execve", program, *argv("p"), "]"])
    assert {"program": EXECUTED} == watch.of()
    assert watch.pid == watch.seen[-1].process.pid
