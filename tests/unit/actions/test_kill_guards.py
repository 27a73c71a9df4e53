from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raqib.actions.context import ActionContext
from raqib.actions.kill_guards import protected_program
from raqib.host.procfs import TICK_NS, has_exited, is_same, read_stat
from raqib.model.process import ProcessKey
from raqib.testing import live_process
from tests.leaderless import leaderless_process

from .conftest import Acting


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


@pytest.fixture
def leaderless() -> Iterator[subprocess.Popen[bytes]]:
    with leaderless_process() as process:
        yield process


def test_read_stat(sleeper: subprocess.Popen[bytes]) -> None:
    found = read_stat(sleeper.pid)
    assert found is not None
    assert found.ppid == os.getpid()
    assert is_same(live_process(sleeper.pid).key, found)


def test_read_stat_of_a_hostile_name(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 (b"
    program.symlink_to(Path(sys.executable).resolve())
    with subprocess.Popen([program, "-c", "input()"], stdin=subprocess.PIPE) as process:
        found = read_stat(process.pid)
        process.kill()
    assert found is not None
    assert found.ppid == os.getpid()


def test_read_stat_of_nothing() -> None:
    assert read_stat(2**30) is None


@pytest.mark.parametrize(("difference", "same"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_start_times_agree_within_a_tick(difference: int, same: bool) -> None:
    found = read_stat(os.getpid())
    assert found is not None
    key = ProcessKey(os.getpid(), (found.start_ticks + difference) * TICK_NS)
    assert is_same(key, found) is same


def test_has_exited(sleeper: subprocess.Popen[bytes]) -> None:
    pidfd = os.pidfd_open(sleeper.pid)
    assert not has_exited(pidfd)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert has_exited(pidfd)
    os.close(pidfd)


def test_protected_by_file_not_by_name(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    program = Path(f"/proc/{sleeper.pid}/exe").readlink()
    alias = tmp_path / "other-name"
    alias.symlink_to(program)
    assert protected_program(sleeper.pid, [str(program)]) == str(program)
    assert protected_program(sleeper.pid, [str(alias)]) == str(alias)
    assert protected_program(sleeper.pid, ["/usr/bin/env", "/nowhere"]) is None
    assert protected_program(2**30, [str(program)]) is None


def test_ones_own_program_is_not_protected(tmp_path: Path) -> None:
    copy = tmp_path / "sleep"
    copy.write_bytes(Path("/usr/bin/sleep").resolve().read_bytes())
    copy.chmod(0o777)
    with subprocess.Popen([copy, "60"]) as process:
        assert protected_program(process.pid, [str(copy)]) is None
        process.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the program must be root's")
def test_a_program_that_an_update_replaced_is_protected(tmp_path: Path) -> None:
    copy = tmp_path / "sleep"
    copy.write_bytes(Path("/usr/bin/sleep").resolve().read_bytes())
    copy.chmod(0o755)
    with subprocess.Popen([copy, "60"]) as process:
        copy.unlink()
        assert protected_program(process.pid, [str(copy)]) == str(copy)
        process.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: to become somebody else")
@pytest.mark.parametrize(("user", "protected"), [(0, True), (101, True), (1000, False), (65534, False)])
def test_a_program_that_anybody_started_is_not_protected(user: int, protected: bool) -> None:
    """He may have made it his own, by a preloaded library for one."""
    program = str(Path("/usr/bin/sleep").resolve())
    with subprocess.Popen([program, "60"], user=user) as process:
        try:
            assert protected_program(process.pid, [program]) == (program if protected else None)
        finally:
            process.kill()


def test_a_process_is_protected_though_its_first_thread_has_ended(leaderless: subprocess.Popen[bytes]) -> None:
    first = str(leaderless.pid)
    (thread,) = (path for path in Path(f"/proc/{first}/task").iterdir() if path.name != first)
    program = (thread / "exe").readlink()
    expected = str(program) if program.stat().st_uid == os.geteuid() == 0 else None
    assert protected_program(leaderless.pid, [str(program)]) == expected


def test_context_names_its_recipe(act: Acting) -> None:
    context = ActionContext(act.detection, 0, False, None)  # type: ignore[arg-type]
    assert context.recipe == "test_recipe"
