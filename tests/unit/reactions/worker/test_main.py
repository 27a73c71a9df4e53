from __future__ import annotations

import subprocess
import sys


def test_a_worker_loads_nothing_of_the_daemon() -> None:
    code = (
        "import sys, raqib.reactions.worker.main; "
        "print(*sorted(m for m in sys.modules if m.startswith(('raqib', 'sql'))))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    worker = ["worker", *(f"worker.{name}" for name in ("engine", "landlock", "main", "sandbox", "seccomp"))]
    reactions = [f"raqib.reactions.{name}" for name in ("protocol", *worker)]
    assert ["raqib", "raqib.errors", "raqib.reactions", *reactions] == output.split()
