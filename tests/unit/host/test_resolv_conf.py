from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raqib.host.resolv_conf import MOST_BYTES, MOST_RESOLVERS, read_resolvers, resolvers_in

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
PREPARE = "import os, sys; print(flush=True); sys.stdin.readline()"
Inside = Callable[..., int]


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    """Starts a process in a mount namespace of its own, with tmp_path/etc at /etc; returns its pid."""
    started: list[subprocess.Popen[str]] = []
    etc = tmp_path / "etc"
    etc.mkdir()

    def start(command: str = "true", *, code: str = PREPARE) -> int:
        mount = 'mount --bind "$1" /etc && eval "$2" && exec "$3" -ISc "$4"'
        started.append(
            subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", mount, "sh", etc, command, sys.executable, code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        assert started[-1].stdout is not None
        assert "\n" == started[-1].stdout.readline()
        return started[-1].pid

    yield start
    for process in started:
        process.communicate()


def read(pid: int, mnt_ns: int | None = None) -> frozenset[str] | str:
    """Read in a thread, as its own root goes with it; what is refused is its error."""
    mnt_ns = Path(f"/proc/{pid}/ns/mnt").stat().st_ino if mnt_ns is None else mnt_ns
    found: list[frozenset[str] | str] = []

    def run() -> None:
        try:
            found.append(read_resolvers(pid, mnt_ns))
        except OSError as error:
            found.append(str(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)
    assert found, "it waits"
    return found[0]


def test_the_file_of_the_namespace_and_not_of_the_host(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "etc/resolv.conf").write_text("# hello\nnameserver 10.96.0.10\n nameserver fd00::1%eth0\n")
    pid, root = inside(), Path("/").stat()
    before = sorted(Path("/proc/self/fd").iterdir())
    assert frozenset({"10.96.0.10", "fd00::1"}) == read(pid)
    assert before == sorted(Path("/proc/self/fd").iterdir())
    assert os.path.samestat(root, Path("/").stat())


def test_a_process_that_changed_its_root_does_not_speak_for_the_namespace(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "etc/resolv.conf").write_text("nameserver 10.96.0.10\n")
    own = tmp_path / "own/etc"
    own.mkdir(parents=True)
    (own / "resolv.conf").write_text("nameserver 203.0.113.66\n")
    pid = inside(code=f"import os; os.chroot({str(own.parent)!r}); {PREPARE}")
    assert frozenset({"10.96.0.10"}) == read(pid)


def test_another_namespace_than_was_meant_is_not_read(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "etc/resolv.conf").write_text("nameserver 10.96.0.10\n")
    assert "found pid" in str(read(inside(), 1))


def test_links_end_within_the_root(inside: Inside, tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    (etc / "run").mkdir()
    (etc / "run/real.conf").write_text("nameserver 10.0.0.1\n")
    (etc / "resolv.conf").symlink_to("../../../../etc/run/real.conf")
    assert frozenset({"10.0.0.1"}) == read(inside())


@pytest.mark.parametrize("target", ["/proc/self/root/etc/real.conf", "/proc/self/cwd/etc/real.conf"])
def test_magic_links_are_not_followed(inside: Inside, tmp_path: Path, target: str) -> None:
    (tmp_path / "etc/real.conf").write_text("nameserver 10.0.0.1\n")
    (tmp_path / "etc/resolv.conf").symlink_to(target)
    assert "symbolic links" in str(read(inside()))


@pytest.mark.parametrize(
    "command", ["mkfifo /etc/resolv.conf", "mknod /etc/resolv.conf c 1 5", "mkdir /etc/resolv.conf"]
)
def test_nothing_but_a_regular_file_is_opened(inside: Inside, command: str) -> None:
    assert "expected /etc/resolv.conf to be a regular file" == read(inside(command))


def test_no_file(inside: Inside) -> None:
    assert "No such file" in str(read(inside()))


def test_what_is_read_is_bounded(inside: Inside, tmp_path: Path) -> None:
    text = "".join(f"nameserver 10.0.{n >> 8}.{n & 255}\n" for n in range(5000)) + "#" * MOST_BYTES
    (tmp_path / "etc/resolv.conf").write_text(text)
    assert frozenset(f"10.0.0.{n}" for n in range(MOST_RESOLVERS)) == read(inside())


def test_what_is_no_address_is_left_out() -> None:
    text = b"nameserver x\nnameserver 999.1.1.1\nnameserver ::ffff:10.0.0.1\n#nameserver 10.0.0.2\nnameserver\n\xff\n"
    assert frozenset({"10.0.0.1"}) == resolvers_in(text)
