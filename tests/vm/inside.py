"""Proof that a process runs inside the virtual machine that its runner has just started, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

OPTION = "raqib.emergency"
"""On the machine's kernel command line: `raqib.emergency=TOKEN`."""

_TOKEN = re.compile("[0-9a-f]{64}")
_BOOT_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def doubts(token: str, runners_boot_id: str, root: Path = Path("/")) -> list[str]:
    """Return what speaks against this being the machine that was started with `token`; empty if nothing does.

    `runners_boot_id` is the boot of the machine that the runner itself runs on; `root` is where proc and sys are.
    """
    found = []
    command_line = _read(root / "proc/cmdline").split()
    if not _TOKEN.fullmatch(token) or f"{OPTION}={token}" not in command_line:
        found.append("the kernel was not started with the runner's token")
    boot_id = _read(root / "proc/sys/kernel/random/boot_id").strip()
    if not _BOOT_ID.fullmatch(runners_boot_id) or not _BOOT_ID.fullmatch(boot_id):
        found.append("the boots cannot be told apart")
    elif boot_id == runners_boot_id:
        found.append("this is the runner's own machine")
    if _read(root / "sys/class/dmi/id/sys_vendor").strip() != "QEMU":
        found.append("the machine was not made by QEMU")
    return found


def boot_id() -> str:
    """Return the boot of this machine. Raises OSError."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
