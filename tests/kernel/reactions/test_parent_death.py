"""No worker outlives the daemon."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_no_worker_survives_sigkill_of_the_daemon(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.kernel.reactions.hooks.orphaning", str(tmp_path / "data")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        workers = [os.pidfd_open(int(pid)) for pid in daemon.stdout.readline().split()]
        assert len(workers) == 3
        assert daemon.stdout.readline() == b"busy\n"
        daemon.send_signal(signal.SIGKILL)
        daemon.wait(60)
        for worker in workers:
            gone, _, _ = select.select([worker], [], [], 5)
            os.close(worker)
            assert gone
