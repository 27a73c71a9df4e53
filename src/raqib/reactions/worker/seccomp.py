"""The system calls that a worker may make, as a filter program for seccomp(2).

Written by hand rather than through a library of the distribution: the worker must come up on hosts that have none, and
the program is a short list. Numbers are the kernel's stable interface; a test compares them with libseccomp.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator

AUDIT_ARCH = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}

# Per processor: x86-64, aarch64. The frequent ones come first; None where there is no such call.
ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "futex": (202, 98),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "mprotect": (10, 226),
    "madvise": (28, 233),
    "munmap": (11, 215),
    "mmap": (9, 222),
    "pkey_mprotect": (329, 288),
    "rt_sigprocmask": (14, 135),
    "clock_gettime": (228, 113),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    # The engine's locks ask for it under contention, and abort if it is denied.
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "mremap": (25, 216),
    "brk": (12, 214),
    "mincore": (27, 232),
    "membarrier": (324, 283),
    "rt_sigaction": (13, 134),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "getrandom": (318, 278),
    "poll": (7, None),
    "ppoll": (271, 73),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_wait": (232, None),
    "epoll_pwait": (281, 22),
    "eventfd2": (290, 19),
    "recvmsg": (47, 212),
    "sendmsg": (46, 211),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "uname": (63, 160),
    "restart_syscall": (219, 128),
    "pkey_alloc": (330, 289),
    "pkey_free": (331, 290),
}
"""Allowed with any arguments. All others are answered with EPERM, apart from the following."""

CLONE = (56, 220)
"""Allowed for threads only."""
CLONE3 = (435, 435)
"""Its flags are out of a filter's sight: answered with ENOSYS, so that the C library falls back to clone."""
PRCTL = (157, 167)
FCNTL = (72, 25)
TGKILL = (234, 131)
"""Allowed at the worker itself: abort(3)."""
PRLIMIT = (302, 261)
"""Allowed for its own limit of memory, which a hard limit bounds."""

FATAL: dict[str, tuple[int, int]] = {
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "bpf": (321, 280),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
}
"""No engine in its right mind makes these calls: they end the worker."""

_CLONE_THREAD = 0x0001_0000
_CLONE_NEW = 0x7E02_0000 | 0x0000_0080
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET and NEWTIME."""
_PR_SET_NAME = 15
_PR_SET_VMA = 0x53564D41
_RLIMIT_DATA = 2
_FCNTL_COMMANDS = (0, 1, 2, 3, 4, 1030)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC: none of those that make the kernel send signals."""

_LOAD, _JUMP_EQUAL, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06
_NR, _ARCH, _ARGUMENTS = 0, 4, 16
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000

_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_TSYNC = 1
_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}

_Instruction = tuple[int, int, int, int]


def _returns(action: int) -> _Instruction:
    return (_RETURN, 0, 0, action)


def _argument(index: int) -> _Instruction:
    """Load the low half of an argument (both processors are little-endian)."""
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index)


def _when_one_of(number: int, index: int, values: tuple[int, ...]) -> Iterator[_Instruction]:
    """Decide about a call: allowed if an argument has one of some values, else EPERM."""
    yield (_JUMP_EQUAL, 0, 2 * len(values) + 2, number)
    yield _argument(index)
    for value in values:
        yield (_JUMP_EQUAL, 0, 1, value)
        yield _returns(_ALLOW)
    yield _returns(_ERRNO | errno.EPERM)


def instructions(machine: str, pid: int) -> list[_Instruction]:
    """Return the filter for a processor and a worker of that pid, as (code, jt, jf, k)."""
    which = list(AUDIT_ARCH).index(machine)
    program: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_JUMP_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        _returns(_KILL_PROCESS),
        (_LOAD, 0, 0, _NR),
    ]
    for numbers in ALLOWED.values():
        if (number := numbers[which]) is not None:
            program += [(_JUMP_EQUAL, 0, 1, number), _returns(_ALLOW)]
    for fatal in FATAL.values():
        program += [(_JUMP_EQUAL, 0, 1, fatal[which]), _returns(_KILL_PROCESS)]
    program += [(_JUMP_EQUAL, 0, 1, CLONE3[which]), _returns(_ERRNO | errno.ENOSYS)]
    program += [
        (_JUMP_EQUAL, 0, 5, CLONE[which]),
        _argument(0),
        (_AND, 0, 0, _CLONE_THREAD | _CLONE_NEW),
        (_JUMP_EQUAL, 0, 1, _CLONE_THREAD),
        _returns(_ALLOW),
        _returns(_ERRNO | errno.EPERM),
    ]
    program += _when_one_of(PRCTL[which], 0, (_PR_SET_NAME, _PR_SET_VMA))
    program += _when_one_of(FCNTL[which], 1, _FCNTL_COMMANDS)
    program += _when_one_of(TGKILL[which], 0, (pid,))
    program += [
        (_JUMP_EQUAL, 0, 5, PRLIMIT[which]),
        _argument(0),
        (_JUMP_EQUAL, 0, 3, 0),
        _argument(1),
        (_JUMP_EQUAL, 0, 1, _RLIMIT_DATA),
        _returns(_ALLOW),
        _returns(_ERRNO | errno.EPERM),
    ]
    return program


class _Program(ctypes.Structure):
    """`struct sock_fprog` of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install() -> None:
    """Put the filter on every thread of this process. Needs no_new_privs. Raises OSError."""
    machine = platform.machine()
    if machine not in AUDIT_ARCH:
        raise OSError(errno.ENOSYS, f"expected one of the processors {', '.join(AUDIT_ARCH)}, this is {machine}")
    program = instructions(machine, os.getpid())
    packed = b"".join(struct.pack("<HBBI", *instruction) for instruction in program)
    argument = _Program(len(program), packed)
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(
        ctypes.c_long(_SYS_SECCOMP[machine]),
        ctypes.c_uint(_SECCOMP_SET_MODE_FILTER),
        ctypes.c_uint(_SECCOMP_FILTER_FLAG_TSYNC),
        ctypes.byref(argument),
    )
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if result > 0:
        raise OSError(errno.EBUSY, f"thread {result} cannot take the filter")
