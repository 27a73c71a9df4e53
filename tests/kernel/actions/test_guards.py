"""What must not be possible, whatever a reaction asks for."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from raqib.model.process import ProcessKey
from raqib.testing import live_process, make_detection
from tests.unit.actions.conftest import Acting

from .conftest import Change

DEFAULT_PATHS = ("/tmp", "/var/log")

OWN = ("ledger.jsonl", "store.db", "store.db-wal", "directories.json", "new", "recipes/mine.yaml", "armed")


@pytest.fixture
def act(act: Acting, configure: Change) -> Acting:
    configure(write_paths=DEFAULT_PATHS)
    return act


SYSTEM = (
    "/proc/sysrq-trigger",
    "/proc/self/mem",
    "/proc/sys/kernel/core_pattern",
    "/sys/kernel/uevent_helper",
    "/dev/mem",
    "/etc/passwd",
    "/etc/cron.d/new",
    "/etc/raqib/config.yaml",
    "/etc/raqib/recipes/mine.yaml",
    "/root/.ssh/authorized_keys",
    "/usr/bin/new",
    "/tmp/../etc/passwd",
    "/tmp/./../etc/passwd",
    "//etc/passwd",
    "/var/logs/x",
    "/tmpx",
)


@pytest.mark.parametrize("path", SYSTEM)
def test_system_files_are_not_written(act: Acting, path: str, tmp_path: Path) -> None:
    # In a dry run, so that even a guard that fails does no harm here: the guards are the same.
    act.dry_run = True
    source = tmp_path / Path(path).name
    source.touch()
    for record in (
        act("AppendFile", path, "x"),
        act("WriteFile", path, "x"),
        act("CopyFile", str(source), path.rpartition("/")[0] or "/"),
    ):
        assert ("refused", None) == (record.decision, record.value)
        assert "expected a" in record.reason
    assert ["refused"] * 3 == [entry["decision"] for entry in act.entries]


@pytest.mark.parametrize("name", OWN)
def test_raqibs_own_files_are_not_written(act: Acting, name: str) -> None:
    directory = act.places.data_dir
    (directory.parent / "source").mkdir()
    source = directory.parent / "source" / Path(name).name
    source.touch()
    (directory / "recipes").mkdir()
    act("DataSet", "k", "v")
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file() and path != act.ledger_path}
    for record in (
        act("AppendFile", str(directory / name), "x"),
        act("WriteFile", str(directory / name), "x"),
        act("CopyFile", str(source), str((directory / name).parent)),
    ):
        assert ("refused", "raqib's own files are never written") == (record.decision, record.reason)
    assert before == {
        path: path.read_bytes() for path in directory.rglob("*") if path.is_file() and path != act.ledger_path
    }


def test_raqibs_own_files_are_not_written_by_another_name_of_their_directory(act: Acting, tmp_path: Path) -> None:
    alias = tmp_path / "alias"
    alias.mkdir()
    subprocess.run(["mount", "--bind", act.places.data_dir, alias], check=True)
    try:
        record = act("AppendFile", str(alias / "ledger.jsonl"), "x")
        assert "raqib's own files are never written" == record.reason
    finally:
        subprocess.run(["umount", alias], check=True)


def test_raqibs_own_directories_are_not_removed(act: Acting) -> None:
    for path in (act.places.data_dir, act.places.evidence_dir, Path("/tmp"), Path("/var/log"), Path("/")):
        assert "refused" == act("RemoveDir", str(path)).decision


def test_directory_that_another_service_made(act: Acting) -> None:
    other = act.writable / "systemd-private-0-service-x"
    other.mkdir(mode=0o700)
    (other / "file").touch()
    os.chown(other, 65534, 65534)
    record = act("RemoveDir", str(other))
    assert ("refused", True) == (record.decision, "that CreateTempDir or CollectEvidence created" in record.reason)
    assert (other / "file").exists()


def test_process_that_only_calls_itself_sshd_is_killed(act: Acting, tmp_path: Path, configure: Change) -> None:
    program = tmp_path / "sshd"
    shutil.copy("/bin/sleep", program)
    # The real one is another file.
    real = tmp_path / "real"
    shutil.copy("/bin/sleep", real)
    configure(protected_programs=(str(real), "/usr/sbin/sshd"))
    with subprocess.Popen([program, "60"]) as impostor, subprocess.Popen([real, "60"]) as protected:
        for process, decision in ((impostor, "done"), (protected, "refused")):
            assert live_process(process.pid).comm == (b"sshd" if process is impostor else b"real")
            act.detection = make_detection("", ancestry=[live_process(process.pid)])
            assert decision == act("KillCurrent").decision
        assert protected.poll() is None
        protected.kill()


def test_program_of_the_same_name_that_others_own_is_not_protected(
    act: Acting, tmp_path: Path, configure: Change
) -> None:
    program = tmp_path / "sshd"
    shutil.copy("/bin/sleep", program)
    os.chown(program, 65534, 65534)
    configure(protected_programs=(str(program),))
    with subprocess.Popen([program, "60"]) as process:
        act.detection = make_detection("", ancestry=[live_process(process.pid)])
        assert "done" == act("KillCurrent").decision


@pytest.mark.parametrize("helper", ["NetBlockIp", "NetBlockDomain", "NetUnblockIp", "NetBlockIpTimer"])
@pytest.mark.parametrize("arguments", ["[null]", '[""]', "[]", '["0.0.0.0/0"]', '["127.0.0.1"]'])
def test_network_helpers_pretend_nothing(act: Acting, helper: str, arguments: str) -> None:
    record = act.call(helper, arguments)
    assert record.decision in ("refused", "error")
    assert record.value is None
    assert "network policy is not enabled" == record.reason or record.reason.startswith(f"{helper}: ")


class CloneArguments(ctypes.Structure):
    """`struct clone_args` of linux/sched.h, with which a process can be given a pid."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack")),
        *((name, ctypes.c_uint64) for name in ("stack_size", "tls", "set_tid", "set_tid_size", "cgroup")),
    )


def heir_of(pid: int) -> int:
    """Start a process that has a pid that was another one's. It sleeps until it is killed."""
    wanted = (ctypes.c_int * 1)(pid)
    arguments = CloneArguments(exit_signal=17, set_tid=ctypes.addressof(wanted), set_tid_size=1)
    child = ctypes.CDLL(None, use_errno=True).syscall(435, ctypes.byref(arguments), ctypes.sizeof(arguments))
    if child == 0:
        os.execv("/bin/sleep", ["sleep", "60"])
    if child < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(child)


HEIR = """
import sys
from tests.kernel.actions.test_guards import heir_of
pid = heir_of(int(sys.argv[1]))
print(pid, flush=True)
import os
os.waitpid(pid, 0)
"""


def test_heir_of_a_pid_survives_every_helper(act: Acting, victim: subprocess.Popen[bytes]) -> None:
    process = live_process(victim.pid)
    victim.kill()
    victim.wait()
    # More than the two ticks within which start times are taken for the same.
    started_ticks = process.key.start_ns // 10_000_000
    while int(Path("/proc/uptime").read_text().split()[0].replace(".", "")) <= started_ticks + 5:
        os.sched_yield()
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", HEIR, str(victim.pid)], stdout=subprocess.PIPE, cwd=root, process_group=0
    ) as starter:
        assert starter.stdout is not None
        heir = int(starter.stdout.readline())
        try:
            assert heir == process.pid
            act.detection = make_detection("", ancestry=[process])
            assert 1 == act("KillCurrent").value
            assert 1 == act("KillProcess", heir).value
            assert "error" == act("KillTree").decision
            assert "already gone" in act("HashFile", "exe").reason
            assert "program is missing" in act("CollectEvidence").reason
            assert heir == live_process(heir).pid
            # The same when the event names it as the parent, and not at all.
            child = live_process(os.getpid())
            act.detection = make_detection("", ancestry=[process, child])
            assert 1 == act("KillParent").value
            act.detection = make_detection("", ancestry=[])
            after = act.detection.timestamp_ns
            assert live_process(heir).key.start_ns < after
        finally:
            pidfd = os.pidfd_open(heir)
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)


def test_process_that_started_after_the_event_survives(act: Acting) -> None:
    act.detection = make_detection("")
    ticks = act.detection.timestamp_ns // 10_000_000
    while int(Path("/proc/uptime").read_text().split()[0].replace(".", "")) <= ticks + 2:
        os.sched_yield()
    with subprocess.Popen(["sleep", "60"]) as later:
        record = act("KillProcess", later.pid)
        assert ("refused", f"pid {later.pid} started after the event") == (record.decision, record.reason)
        assert later.poll() is None
        later.kill()


def test_pid_of_the_event_is_that_very_process(act: Acting, victim: subprocess.Popen[bytes]) -> None:
    process = live_process(victim.pid)
    act.detection = make_detection("", ancestry=[process])
    assert ProcessKey(victim.pid, process.key.start_ns) == process.key
    assert 0 == act("KillProcess", victim.pid).value
    assert -9 == victim.wait(60)
