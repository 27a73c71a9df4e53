"""Who is ended when the host is out of memory."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from raqib.host import spared
from raqib.host.spared import be_spared, be_usual

SPARED, USUAL = 100, 500
"""Values that a user without privileges may go between, too."""


def test_the_kernel_ends_a_tiny_program_before_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spared, "SPARED", SPARED)
    before = int(Path("/proc/self/oom_score_adj").read_text())
    be_usual(USUAL)
    try:
        with subprocess.Popen(["/bin/sleep", "100"]) as tiny:
            assert USUAL == be_spared()
            assert be_spared() is None
            scores = [int(Path(f"/proc/{pid}/oom_score").read_text()) for pid in (os.getpid(), tiny.pid)]
            tiny.kill()
    finally:
        be_usual(before)
    assert scores[0] < scores[1]
    assert str(before) == Path("/proc/self/oom_score_adj").read_text().strip()
