"""Sockets in the file system are made by bind(2); calls of 32-bit programs may have their arguments in memory."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from raqib.model.actions import FileAction
from tests.kernel.acting import Watch, below
from tests.kernel.test_actions import CREATE, OPEN

SOURCE = Path(__file__).with_name("narrow.c")
BIND = "import socket, sys; socket.socket(socket.AF_UNIX, int(sys.argv[2])).bind(sys.argv[1])"
needs_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="expected a processor that makes int 0x80")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["stream", "datagrams"])
@pytest.mark.parametrize("name", ["socket", "n" * 20])
def test_bind(watch: Watch, tmp_path: Path, name: str, kind: int) -> None:
    made = subprocess.Popen([sys.executable, "-c", BIND, name, str(int(kind))], cwd=tmp_path)
    assert made.wait(60) == 0
    watch.sensor.consume()
    assert {name: CREATE} == watch.of(made.pid)


def test_the_longest_name(watch: Watch, tmp_path: Path) -> None:
    name = "n" * (107 - len("./"))
    code = f"import socket; socket.socket(socket.AF_UNIX).bind({'./' + name!r})"
    made = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    assert made.wait(60) == 0
    watch.sensor.consume()
    assert {name: CREATE} == watch.of(made.pid)


@pytest.mark.parametrize("name", ["\0abstract-of-raqib", ""], ids=["abstract", "none"])
def test_what_is_no_file_is_not_told(watch: Watch, tmp_path: Path, name: str) -> None:
    code = f"import socket; socket.socket(socket.AF_UNIX).bind({(name and name + str(os.getpid()))!r})"
    made = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    assert made.wait(60) == 0
    watch.sensor.consume()
    assert {} == watch.of(made.pid)


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("narrow") / "narrow"
    subprocess.run(["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, SOURCE], check=True)
    return program


@needs_x86
def test_bind_of_32_bit_programs(watch: Watch, tmp_path: Path, narrow: Path) -> None:
    made = subprocess.Popen([narrow, "bind", "socket"], cwd=tmp_path)
    assert made.wait(60) == 0
    assert (tmp_path / "socket").is_socket()
    watch.sensor.consume()
    assert {"socket": CREATE} == watch.of(made.pid)


@needs_x86
def test_old_mmap_of_32_bit_programs(watch: Watch, tmp_path: Path, narrow: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    watch.look(tmp_path, below(tmp_path, OPEN | FileAction.MMAP))
    made = subprocess.Popen([narrow, "mmap", "file"], cwd=tmp_path)
    assert made.wait(60) == 0
    watch.sensor.consume()
    assert {"file": OPEN | FileAction.MMAP} == watch.of(made.pid)
