"""What takes machines down refuses to run here, and anywhere but in the machine that was made for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vm.inside import boot_id, doubts

TOKEN = "ab" * 32
RUNNER = "11111111-2222-3333-4444-555555555555"
GUEST = "66666666-7777-8888-9999-aaaaaaaaaaaa"

TOKEN_DOUBT = "the kernel was not started with the runner's token"
SAME_DOUBT = "this is the runner's own machine"
UNKNOWN_DOUBT = "the boots cannot be told apart"
VENDOR_DOUBT = "the machine was not made by QEMU"


def machine(root: Path, *, token: str = TOKEN, boot: str = GUEST, vendor: str = "QEMU") -> Path:
    for name, text in (
        ("proc/cmdline", f"console=ttyS0 raqib.emergency={token} lsm=landlock\n"),
        ("proc/sys/kernel/random/boot_id", boot + "\n"),
        ("sys/class/dmi/id/sys_vendor", vendor + "\n"),
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_machine_that_was_made_for_it_is_recognized(tmp_path: Path) -> None:
    assert [] == doubts(TOKEN, RUNNER, machine(tmp_path))


@pytest.mark.parametrize(
    ("token", "runner", "different", "expected"),
    [
        ("cd" * 32, RUNNER, {}, TOKEN_DOUBT),
        ("", RUNNER, {"token": ""}, TOKEN_DOUBT),
        ("1", RUNNER, {"token": "1"}, TOKEN_DOUBT),
        (TOKEN, GUEST, {}, SAME_DOUBT),
        (TOKEN, "", {}, UNKNOWN_DOUBT),
        (TOKEN, RUNNER, {"boot": ""}, UNKNOWN_DOUBT),
        (TOKEN, RUNNER, {"vendor": "Dell Inc."}, VENDOR_DOUBT),
    ],
)
def test_any_doubt_is_enough(tmp_path: Path, token: str, runner: str, different: dict[str, str], expected: str) -> None:
    assert [expected] == doubts(token, runner, machine(tmp_path, **different))


def test_nothing_readable_is_no_proof(tmp_path: Path) -> None:
    assert [TOKEN_DOUBT, UNKNOWN_DOUBT, VENDOR_DOUBT] == doubts(TOKEN, RUNNER, tmp_path)


@pytest.mark.parametrize("helper", ["PowerOff", "Panic"])
def test_the_guest_refuses_before_anything_else(tmp_path: Path, helper: str) -> None:
    """With an interpreter that cannot even find raqib: the guard comes before the first import of it."""
    result = subprocess.run(
        [sys.executable, "-S", "-m", "tests.vm.emergency_guest", helper, TOKEN, boot_id()],
        cwd=Path(__file__).parents[3],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert 1 == result.returncode
    assert TOKEN_DOUBT in result.stderr
    assert SAME_DOUBT in result.stderr
    assert "Traceback" not in result.stderr
