from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from raqib.cli import version as command
from raqib.errors import NotPermittedError
from raqib.kernel.libbpf import Libbpf

RAQIB = Path(sys.executable).with_name("raqib")


def shown(*arguments: str) -> str:
    return subprocess.run([RAQIB, "version", *arguments], capture_output=True, text=True, check=True).stdout


def test_it_says_what_a_report_of_a_fault_needs() -> None:
    told = json.loads(shown("--json"))
    assert version("raqib") == told["raqib"]
    assert (platform.release(), platform.machine()) == (told["kernel"], told["machine"])
    assert re.fullmatch(r"\d+\.\d+", told["libbpf"])
    assert {"raqib", "kernel", "machine", "libbpf", "python", "jsrun"} == told.keys()


def test_people_are_told_the_same_in_a_line_each() -> None:
    told = json.loads(shown("--json"))
    assert {name: str(value) for name, value in told.items()} == dict(line.split() for line in shown().splitlines())


def test_without_the_library_the_rest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Libbpf) -> None:
        raise NotPermittedError("expected the library libbpf.so.1, found none")

    monkeypatch.setattr(Libbpf, "__init__", fail)
    found = command.versions()
    assert found["libbpf"] is None
    assert version("raqib") == found["raqib"]
