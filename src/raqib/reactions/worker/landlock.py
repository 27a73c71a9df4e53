"""Landlock without a single rule: no file, no TCP port, no abstract socket and no signal beyond the process itself."""

from __future__ import annotations

import ctypes
import os

_SYS_CREATE_RULESET, _SYS_RESTRICT_SELF = 444, 446
_GET_VERSION = 1

# What each version of the interface added, as (version, bits).
_FILE_ACCESS = ((1, 0x1FFF), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
_NETWORK_ACCESS = ((4, 0x3),)
_SCOPES = ((6, 0x3),)


class _RulesetAttributes(ctypes.Structure):
    """`struct landlock_ruleset_attr`; older kernels accept it while the later members are zero."""

    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


def forbid_everything() -> None:
    """Restrict the calling thread and those that it starts. Needs no_new_privs. Raises OSError where there is none."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(number: int, *arguments: object) -> int:
        result = int(libc.syscall(ctypes.c_long(number), *arguments))
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    version = call(_SYS_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_GET_VERSION))

    def handled(table: tuple[tuple[int, int], ...]) -> int:
        return sum(bits for since, bits in table if since <= version)

    attributes = _RulesetAttributes(handled(_FILE_ACCESS), handled(_NETWORK_ACCESS), handled(_SCOPES))
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    ruleset = call(_SYS_CREATE_RULESET, ctypes.byref(attributes), size, ctypes.c_uint32(0))
    try:
        call(_SYS_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
