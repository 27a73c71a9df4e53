"""Processes that talk to peers which are not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.cgroups import enter

VISIT = Path(__file__).parent / "visit.py"


def visit(cgroup: Path, peer: str) -> int:
    """Let a process in a cgroup visit a peer, as `visit.py` has it, to the end; return the process."""
    with subprocess.Popen(
        ["unshare", "--net", sys.executable, "-I", VISIT, peer],
        preexec_fn=lambda: enter(cgroup),
        env={**os.environ, "OUTSIDE": os.fspath(Path("/proc/self/ns/net").readlink())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        said, _ = process.communicate(timeout=20)
    assert 0 == process.returncode, said.decode()
    return process.pid
