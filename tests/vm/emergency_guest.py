"""Runs inside a virtual machine only: `python -m tests.vm.emergency_guest HELPER TOKEN BOOT` takes it down.

TOKEN is on that machine's kernel command line, BOOT is the boot_id of the machine that started it.
"""

from __future__ import annotations

import sys

from tests.vm.inside import doubts

if __name__ == "__main__":
    # Before anything else is even imported.
    HELPER, *PROOF = sys.argv[1:] or [""]
    DOUBTS = doubts(PROOF[0], PROOF[1]) if len(PROOF) == 2 else ["it was not told which machine it is for"]
    if DOUBTS or HELPER not in ("PowerOff", "Panic"):
        raise SystemExit(
            f"this takes the machine down: only in the one that tests/vm/emergency.py starts; {'; '.join(DOUBTS)}"
        )

import asyncio
import subprocess
import time
from pathlib import Path

from raqib.actions.settings import EmergencySettings, Places
from raqib.reactions import Reactions, ReactionSettings, pool
from raqib.testing import make_detection

PATIENCE_S = 300.0
"""For a worker to be ready, where the processor is an emulated one and others use the real one, too."""


def mount_disk() -> Path:
    """Mount the machine's only disk."""
    subprocess.run(["modprobe", "-a", "virtio_blk", "virtio_scsi", "sd_mod", "ext4"], check=True)
    deadline = time.monotonic() + 30
    while not (disks := sorted(Path("/sys/block").glob("[sv]d[a-z]"))):
        if time.monotonic() > deadline:
            raise SystemExit("expected a disk, found none")
        time.sleep(0.1)
    directory = Path("/run/raqib-disk")
    directory.mkdir()
    subprocess.run(["mount", f"/dev/{disks[0].name}", directory], check=True)
    return directory


async def main(helper: str, directory: Path) -> None:
    pool.READY_WITHIN_S = PATIENCE_S
    other = {"PowerOff": "Panic", "Panic": "PowerOff"}[helper]
    code = f"function process() {{ Info({other}(), Errno()); Info({helper}(), Errno()) }}"
    log = (directory / "log").open("w", buffering=1)
    reactions = Reactions(
        ReactionSettings(workers=1, timeout_s=PATIENCE_S, max_timeout_s=PATIENCE_S),
        Places(directory / "data"),
        emergency=EmergencySettings(enabled=True, helpers=(helper,)),  # type: ignore[arg-type]
        on_log=lambda line: print(line.text, file=log),
        on_finished=lambda finished: None,
    )
    await reactions.start()
    reactions.submit(make_detection(code))
    await reactions.drain()
    await reactions.close()
    raise SystemExit(f"expected the machine to be down after {helper}(), it is up")


if __name__ == "__main__":
    asyncio.run(main(HELPER, mount_disk()))
