"""PowerOff() and Panic() for real, in virtual machines: each goes down, and its ledger was on the disk before.

`make vm-emergency`. Needs what `scripts/setup vm` installs.
The machine sees this one's file system; its data are on a small disk of its own, which is looked at afterwards.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from raqib.ledger.verification import verify
from tests.vm.inside import OPTION, boot_id

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 900.0
"""Without hardware virtualisation a machine takes minutes, on a busy host more of them."""

DISK_BYTES = 128 << 20

SIGNS = {"PowerOff": "reboot: Power down", "Panic": "Kernel panic - not syncing: sysrq triggered crash"}
"""What the kernel says last."""


def find_kernel() -> Path:
    """Return the newest kernel that is not made for clouds: those lack 9p."""
    kernels = [path for path in Path("/boot").glob("vmlinuz-*") if "cloud" not in path.name]
    if not kernels:
        raise SystemExit("expected a kernel in /boot, found none: apt-get install linux-image-amd64")
    return max(kernels, key=lambda path: path.stat().st_mtime)


def run(kernel: Path, vng: Path, helper: str, disk: Path) -> str:
    """Start a machine that takes itself down and return what its console said."""
    token = secrets.token_hex(32)
    guest = f"cd {ROOT} && {sys.executable} -m tests.vm.emergency_guest {helper} {token} {boot_id()}"
    command = [
        *(str(vng), "--run", str(kernel), "--disable-kvm", "--force-9p", "--memory", "2G", "--cpus", "2", "--verbose"),
        *("--append", f"{OPTION}={token} lsm=landlock", "--disk", str(disk), "--exec", guest),
    ]
    # vng wants a terminal.
    result = subprocess.run(
        ["script", "-qec", shlex.join(command), "/dev/null"],
        env={**os.environ, "PATH": f"{vng.parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_S,
        check=False,
    )
    return result.stdout.decode("utf-8", "replace")


def make_disk(path: Path) -> None:
    """Make a disk image with an empty filesystem on it."""
    with path.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", path], check=True)


def read_disk(path: Path, directory: Path) -> None:
    """Copy what is on a disk; the journal is replayed first, as the next start of the machine would do."""
    subprocess.run(["e2fsck", "-p", path], stdout=subprocess.DEVNULL, check=False)
    subprocess.run(["debugfs", "-R", f"rdump / {directory}", path], stderr=subprocess.DEVNULL, check=True)


def problems(helper: str, console: str, data: Path) -> list[str]:
    """Return what is not as it should be after the end of a machine."""
    found = []
    if SIGNS[helper] not in console:
        found.append(f"expected {SIGNS[helper]!r} on the console")
    log = data.with_name("log")
    if not log.exists() or f"{helper} of recipe" not in log.read_text():
        found.append("expected the reason in the log")
    ledger = data / "ledger.jsonl"
    if not ledger.exists():
        return [*found, "expected a ledger on the disk"]
    if not (verification := verify(ledger)).intact:
        found.append(f"expected a ledger whose chain holds: {verification.breaks}")
    entries = [msgspec.json.decode(line) for line in ledger.read_bytes().splitlines()]
    decisions = [(entry["action"], entry["decision"]) for entry in entries]
    other = {"PowerOff": "Panic", "Panic": "PowerOff"}[helper]
    if decisions[-2:] != [(other, "refused"), (helper, "done")]:
        found.append(f"expected the ledger to end with {other} refused and {helper} done, found {decisions}")
    return found


def attempt(helper: str) -> tuple[list[str], str]:
    """Let a machine take itself down; return what is not as it should be, and what its console said."""
    vng = Path(sys.executable).with_name("vng")
    if not vng.exists() or shutil.which("qemu-system-x86_64") is None:
        raise SystemExit("expected vng and qemu-system-x86_64, found at least one missing: scripts/setup vm")
    with tempfile.TemporaryDirectory(prefix="raqib-vm-") as directory:
        disk = Path(directory) / "disk.img"
        make_disk(disk)
        console = run(find_kernel(), vng, helper, disk)
        read_disk(disk, Path(directory))
        return problems(helper, console, Path(directory) / "data"), console


def main() -> int:
    """Try both; exit status 0 if both machines went down as they should."""
    failed = False
    for helper in SIGNS:
        found, console = attempt(helper)
        if found:
            failed = True
            sys.stderr.write(f"{console}\n{helper}: {'; '.join(found)}\n")
        else:
            sys.stdout.write(f"{helper}: the machine went down, and the ledger was on the disk before\n")
            sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
