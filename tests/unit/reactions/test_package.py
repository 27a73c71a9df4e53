from __future__ import annotations

import subprocess
import sys

import pytest

import raqib.reactions


def test_public_names() -> None:
    assert sorted(raqib.reactions.__all__) == raqib.reactions.__all__
    for name in raqib.reactions.__all__:
        assert getattr(raqib.reactions, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        raqib.reactions.nothing  # noqa: B018


def test_a_worker_loads_nothing_of_the_daemon() -> None:
    code = (
        "import sys, raqib.reactions.worker.main; "
        "print(*sorted(m for m in sys.modules if m.startswith(('raqib', 'sql'))))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    parts = ["protocol", "worker", *(f"worker.{n}" for n in ("engine", "landlock", "main", "sandbox", "seccomp"))]
    assert output.split() == ["raqib", "raqib.errors", "raqib.reactions", *(f"raqib.reactions.{n}" for n in parts)]
