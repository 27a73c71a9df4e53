"""The syscalls that touch files: one row each, with what it does to which of its arguments."""

from __future__ import annotations

import platform
from typing import Any

import msgspec

from raqib.errors import NotPermittedError
from raqib.kernel.layout import constant, ffi
from raqib.kernel.object import ARCHITECTURES
from raqib.model.actions import NO_ACTIONS, FileAction

_OPEN, _READ, _WRITE = FileAction.OPEN, FileAction.READ, FileAction.WRITE
_CREATE, _LINK, _RENAME, _UNLINK = FileAction.CREATE, FileAction.LINK, FileAction.RENAME, FileAction.UNLINK
_TRUNCATE = FileAction.TRUNCATE

_MAP_ANONYMOUS = 0x20
_F_SETFL, _O_ASYNC = 4, 0o20000
_FIOASYNC = 0x5452
_CLOSE_RANGE_CLOEXEC = 4
_SYS_BIND = 2


class Syscall(msgspec.Struct, frozen=True):
    """One syscall, or one way of using it. Arguments are named by their index from 0; numbers are None where absent.

    `i386` and `arm` are the numbers that 32-bit programs use on x86-64 and aarch64.
    """

    name: str
    kind: str
    x86_64: int | None
    aarch64: int | None
    i386: int | None
    arm: int | None
    actions: FileAction = NO_ACTIONS
    """To the file of `fd` or `name`, or to the file opened."""
    actions2: FileAction = NO_ACTIONS
    """To the file of `fd2` or `name2`."""
    fd: int = -1
    fd2: int = -1
    dir: int = -1
    name_at: int = -1
    dir2: int = -1
    name2_at: int = -1
    call_flags: int = -1
    """Which argument has the flags of open(2) or linkat(2), or leads to the arguments."""
    flags: tuple[str, ...] = ()
    equal: tuple[int, int] | None = None
    """(argument, value): only such calls count."""
    any_bits: tuple[int, int] | None = None
    """(argument, bits): only calls with one of them."""
    no_bits: tuple[int, int] | None = None
    """(argument, bits): only calls with none of them."""

    @property
    def all_actions(self) -> FileAction:
        """Everything that such a call can be."""
        opened = _CREATE | _TRUNCATE if self.kind == "OPEN" else NO_ACTIONS
        return self.actions | self.actions2 | opened


def _fd(
    name: str, x86_64: int | None, aarch64: int | None, i386: int | None, arm: int | None, actions: FileAction
) -> Syscall:
    """A call on the descriptor that is its first argument."""
    return Syscall(name, "FD", x86_64, aarch64, i386, arm, actions, fd=0)


def _fasync(name: str, x86_64: int | None, aarch64: int | None, i386: int, arm: int) -> Syscall:
    """Setting O_ASYNC on a descriptor."""
    return Syscall(
        name,
        "FD",
        x86_64,
        aarch64,
        i386,
        arm,
        FileAction.FASYNC,
        fd=0,
        equal=(1, _F_SETFL),
        any_bits=(2, _O_ASYNC),
    )


SYSCALLS: tuple[Syscall, ...] = (
    Syscall("open", "OPEN", 2, None, 5, 5, _OPEN, name_at=0, call_flags=1),
    Syscall("openat", "OPEN", 257, 56, 295, 322, _OPEN, dir=0, name_at=1, call_flags=2),
    Syscall("openat2", "OPEN", 437, 437, 437, 437, _OPEN, dir=0, name_at=1, call_flags=2, flags=("FLAGS_INDIRECT",)),
    Syscall("creat", "OPEN", 85, None, 8, 8, _OPEN, name_at=0, flags=("TRUNCATES",)),
    Syscall("open_by_handle_at", "OPEN", 304, 265, 342, 371, _OPEN, call_flags=2),
    _fd("read", 0, 63, 3, 3, _READ),
    _fd("pread64", 17, 67, 180, 180, _READ),
    _fd("readv", 19, 65, 145, 145, _READ),
    _fd("preadv", 295, 69, 333, 361, _READ),
    _fd("preadv2", 327, 286, 378, 392, _READ),
    _fd("readdir", None, None, 89, 89, _READ),
    _fd("getdents", 78, None, 141, 141, _READ),
    _fd("getdents64", 217, 61, 220, 217, _READ),
    _fd("write", 1, 64, 4, 4, _WRITE),
    _fd("pwrite64", 18, 68, 181, 181, _WRITE),
    _fd("writev", 20, 66, 146, 146, _WRITE),
    _fd("pwritev", 296, 70, 334, 362, _WRITE),
    _fd("pwritev2", 328, 287, 379, 393, _WRITE),
    _fd("fallocate", 285, 47, 324, 352, _WRITE),
    Syscall("sendfile", "FD", 40, None, 187, 187, _WRITE, _READ, fd=0, fd2=1),
    Syscall("sendfile64", "FD", None, 71, 239, 239, _WRITE, _READ, fd=0, fd2=1),
    Syscall("splice", "FD", 275, 76, 313, 340, _READ, _WRITE, fd=0, fd2=2),
    Syscall("copy_file_range", "FD", 326, 285, 377, 391, _READ, _WRITE, fd=0, fd2=2),
    _fd("lseek", 8, 62, 19, 19, FileAction.LLSEEK),
    _fd("_llseek", None, None, 140, 140, FileAction.LLSEEK),
    _fd("fsync", 74, 82, 118, 118, FileAction.FSYNC),
    _fd("fdatasync", 75, 83, 148, 148, FileAction.FSYNC),
    _fd("flock", 73, 32, 143, 143, FileAction.FLOCK),
    _fd("ftruncate", 77, 46, 93, 93, _TRUNCATE),
    _fd("ftruncate64", None, None, 194, 194, _TRUNCATE),
    Syscall("mmap", "FD", 9, 222, 192, 192, FileAction.MMAP, fd=4, no_bits=(3, _MAP_ANONYMOUS)),
    Syscall(
        "old_mmap",
        "FD",
        None,
        None,
        90,
        90,
        FileAction.MMAP,
        fd=4,
        no_bits=(3, _MAP_ANONYMOUS),
        call_flags=0,
        flags=("ARGS_INDIRECT",),
    ),
    _fasync("fcntl", 72, 25, 55, 55),
    _fasync("fcntl64", None, None, 221, 221),
    Syscall("ioctl", "FD", 16, 29, 54, 54, FileAction.FASYNC, fd=0, equal=(1, _FIOASYNC)),
    Syscall("close", "FD_ENTER", 3, 57, 6, 6, FileAction.CLOSE, fd=0),
    Syscall(
        "close_range",
        "FD_RANGE_ENTER",
        436,
        436,
        436,
        436,
        FileAction.CLOSE,
        fd=0,
        fd2=1,
        no_bits=(2, _CLOSE_RANGE_CLOEXEC),
    ),
    Syscall("truncate", "NAME", 76, 45, 92, 92, _TRUNCATE, name_at=0, flags=("FOLLOW",)),
    Syscall("truncate64", "NAME", None, None, 193, 193, _TRUNCATE, name_at=0, flags=("FOLLOW",)),
    Syscall("unlink", "NAME", 87, None, 10, 10, _UNLINK, name_at=0),
    Syscall("unlinkat", "NAME", 263, 35, 301, 328, _UNLINK, dir=0, name_at=1),
    Syscall("rmdir", "NAME", 84, None, 40, 40, _UNLINK, name_at=0),
    Syscall("rename", "NAME", 82, None, 38, 38, _RENAME, _RENAME, name_at=0, name2_at=1),
    Syscall("renameat", "NAME", 264, 38, 302, 329, _RENAME, _RENAME, dir=0, name_at=1, dir2=2, name2_at=3),
    Syscall("renameat2", "NAME", 316, 276, 353, 382, _RENAME, _RENAME, dir=0, name_at=1, dir2=2, name2_at=3),
    Syscall("link", "NAME", 86, None, 9, 9, _LINK, _LINK, name_at=0, name2_at=1),
    Syscall(
        "linkat",
        "NAME",
        265,
        37,
        303,
        330,
        _LINK,
        _LINK,
        dir=0,
        name_at=1,
        dir2=2,
        name2_at=3,
        call_flags=4,
        flags=("FOLLOW_IF_ASKED",),
    ),
    Syscall("symlink", "NAME", 88, None, 83, 83, _CREATE, name_at=1),
    Syscall("symlinkat", "NAME", 266, 36, 304, 331, _CREATE, dir=1, name_at=2),
    Syscall("mkdir", "NAME", 83, None, 39, 39, _CREATE, name_at=0),
    Syscall("mkdirat", "NAME", 258, 34, 296, 323, _CREATE, dir=0, name_at=1),
    Syscall("bind", "NAME", 49, 200, 361, 282, _CREATE, name_at=1, flags=("SOCKET",)),
    Syscall(
        "socketcall",
        "NAME",
        None,
        None,
        102,
        None,
        _CREATE,
        name_at=1,
        equal=(0, _SYS_BIND),
        call_flags=1,
        flags=("SOCKET", "ARGS_INDIRECT"),
    ),
    Syscall("mknod", "NAME", 133, None, 14, 14, _CREATE, name_at=0),
    Syscall("mknodat", "NAME", 259, 33, 297, 324, _CREATE, dir=0, name_at=1),
)


def fill(table: Any, wanted: FileAction, machine: str | None = None) -> None:
    """Write the rows of those calls that can be one of the wanted actions into a `struct syscall_table`.

    Raises NotPermittedError if no numbers are known for this processor.
    """
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        raise NotPermittedError(f"expected a processor of {' or '.join(ARCHITECTURES)}, found {machine}")
    ffi.memmove(table, bytes(ffi.sizeof("struct syscall_table")), ffi.sizeof("struct syscall_table"))
    for syscall in SYSCALLS:
        if not syscall.all_actions & wanted:
            continue
        native, compat = (syscall.x86_64, syscall.i386) if machine == "x86_64" else (syscall.aarch64, syscall.arm)
        for rows, number in ((table.rows[0], native), (table.rows[1], compat)):
            if number is not None:
                _fill_row(rows[number], syscall)


def _fill_row(row: Any, syscall: Syscall) -> None:
    row.kind = constant(f"SYSCALL_{syscall.kind}")
    row.flags = sum(constant(f"SYSCALL_{flag}") for flag in syscall.flags)
    row.fd, row.fd2 = syscall.fd, syscall.fd2
    row.dir, row.name, row.dir2, row.name2 = syscall.dir, syscall.name_at, syscall.dir2, syscall.name2_at
    row.call_flags = syscall.call_flags
    row.actions, row.actions2 = int(syscall.actions), int(syscall.actions2)
    row.equal, row.equal_value = syscall.equal or (-1, 0)
    row.any, row.any_bits = syscall.any_bits or (-1, 0)
    row.none, row.no_bits = syscall.no_bits or (-1, 0)
