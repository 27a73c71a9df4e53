"""Inside the workers' sandbox nothing can be reached: real attempts from real code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raqib.reactions.settings import WORKER_UID

from .conftest import Host, RunScenario

ROOT = Path(__file__).parents[3]


@pytest.fixture
def bystander() -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


def run_captive(what: str, target: int, directory: Path) -> subprocess.CompletedProcess[bytes]:
    directory = directory / "empty"
    directory.mkdir(mode=0o755)
    return subprocess.run(
        [sys.executable, "-m", "tests.kernel.reactions.hooks.captive", what, str(target), str(directory)],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )


def outcome(what: str, target: int, directory: Path) -> dict[str, Any]:
    result = run_captive(what, target, directory)
    assert result.returncode == 0, result.stderr.decode()
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


@pytest.mark.parametrize(
    "what",
    [
        "read_file",
        "list_root",
        "create_file",
        "open_by_parent",
        "socket_inet",
        "socket_unix",
        "fork",
        "fork_in_thread",
        "new_user_namespace",
        "signal_other",
        "signal_parent",
        "pidfd_open",
        "become_root",
        "raise_limit",
        "chroot",
        "dumpable",
    ],
)
def test_is_not_permitted(what: str, bystander: int, tmp_path: Path) -> None:
    assert outcome(what, bystander, tmp_path)["outcome"] == "Operation not permitted"


def test_clone3_is_not_there(bystander: int, tmp_path: Path) -> None:
    assert outcome("clone3", bystander, tmp_path)["outcome"] == "Function not implemented"


@pytest.mark.parametrize("what", ["execve", "ptrace"])
def test_ends_the_process(what: str, bystander: int, tmp_path: Path) -> None:
    # SIGSYS
    assert run_captive(what, bystander, tmp_path).returncode == -31


def test_memory_beyond_the_engines_is_limited_too(bystander: int, tmp_path: Path) -> None:
    assert outcome("allocate", bystander, tmp_path)["outcome"] == "no memory"


def test_threads_still_start(bystander: int, tmp_path: Path) -> None:
    assert outcome("threads_work", bystander, tmp_path)["outcome"] == "result 0"


def test_nothing_is_left(bystander: int, tmp_path: Path) -> None:
    answer = outcome("nothing", bystander, tmp_path)
    assert answer["outcome"] == "result 0"
    assert answer["missing"] == []


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def test_real_workers_as_the_kernel_sees_them(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        await host.warm(3)
        assert host.reactions.sandbox_missing == ()
        for pid in host.reactions.worker_pids:
            check_worker(pid)

    run_scenario(scenario)


def check_worker(pid: int) -> None:
    status = _status(pid)
    assert status["Uid"].split() == [str(WORKER_UID)] * 4
    assert status["Gid"].split() == [str(WORKER_UID)] * 4
    assert status["Groups"] == ""
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    for task in Path(f"/proc/{pid}/task").iterdir():
        assert "Seccomp:\t2" in (task / "status").read_text()
    for namespace in ("user", "net", "ipc", "mnt", "uts"):
        assert Path(f"/proc/{pid}/ns/{namespace}").readlink() != Path(f"/proc/self/ns/{namespace}").readlink()
    assert list(Path(f"/proc/{pid}/root").iterdir()) == []
    assert Path(f"/proc/{pid}/environ").read_bytes() in (b"", b"LANG=C.UTF-8\0")
    targets = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    assert all(target == "/dev/null" or target.startswith(("socket:", "pipe:", "anon_inode:")) for target in targets)
