"""The last step of the emergency helpers: what takes the host down. Nothing else is in here, and nothing else does."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_RB_POWER_OFF = 0x4321_FEDC

_libc = ctypes.CDLL(None, use_errno=True)


class Machine:
    """The host that this runs on."""

    def power_off(self) -> None:
        """Switch the host off at once, without stopping anything first. Raises OSError; does not return otherwise."""
        if _libc.reboot(ctypes.c_int(_RB_POWER_OFF)) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def panic(self) -> None:
        """Have the kernel panic: it dumps or restarts as it is set up to. Raises OSError; does not return otherwise."""
        Path("/proc/sysrq-trigger").write_text("c")
