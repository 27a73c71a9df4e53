"""Helpers that read and write files."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from raqib.actions.context import ActionContext, Services
from raqib.actions.declare import (
    DONE_OR_NOT,
    Argument,
    Arguments,
    Checked,
    Description,
    Done,
    Failed,
    Helper,
    Plan,
    Refused,
    Result,
)
from raqib.actions.write_guards import check_space, is_own_data, open_parent, writable_path
from raqib.host.opening import open_without_links
from raqib.model.clock import rfc3339

FILE_MODE = 0o600

SMALLEST_WRITE = 4096
"""What a file takes at least, in bytes."""

_PATH = Argument("path", "string")
_TEXT = Argument("text", "string", may_be_empty=True, content=True)


def problem(path: str, error: Exception) -> Failed:
    """Return what went wrong with a path, as a helper says it."""
    if not isinstance(error, OSError):
        return Failed(f"{path}: {error}")
    if error.errno == errno.ELOOP:
        return Failed(f"{path}: there is a symbolic link on the way")
    return Failed(f"{path}: {error.strerror or error}")


def _read_file(context: ActionContext, arguments: Arguments) -> Checked:
    # Reading changes nothing, so that a dry run does it as well.
    return _read(arguments[0], context.services)


def _read(path: str, services: Services) -> Result:
    limit = services.bounds.max_read_bytes
    try:
        descriptor = open_foreign(path, services)
        if not isinstance(descriptor, int):
            return descriptor
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            content = bytearray()
            # Files of procfs have no size and come in pieces.
            while len(content) <= limit and (piece := file.read(limit + 1 - len(content))):
                content += piece
    except OSError as error:
        return problem(path, error)
    if len(content) > limit:
        return Failed(f"{path}: expected at most {limit} bytes, the file has more")
    return Done(content.decode("utf-8", "replace"))


def open_regular(path: str, directory: int | None = None) -> int | Failed:
    """Open a file for reading if it is a regular one; never waits for anybody. Raises OSError."""
    # A descriptor of the name alone first: opening a device or a pipe may itself have effects.
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC, dir_fd=directory)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return Failed(f"{path}: expected a regular file")
        return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    finally:
        os.close(handle)


def open_foreign(path: str, services: Services) -> int | Failed | Refused:
    """Open a regular file for reading if it is none of raqib's own: those hold what other recipes know. Raises OSError.

    What was collected as evidence may be read.
    """
    descriptor = open_regular(path)
    if isinstance(descriptor, int) and is_own_data(descriptor, services):
        os.close(descriptor)
        return Refused(f"{path}: raqib's own data is not read")
    return descriptor


def _write_file(context: ActionContext, arguments: Arguments) -> Checked:
    return _check_writing(context, arguments, _replace)


def _append_file(context: ActionContext, arguments: Arguments) -> Checked:
    return _check_writing(context, arguments, _append)


_Writer = Callable[[int, str, bytes, Services], "Failed | None"]


def _check_writing(context: ActionContext, arguments: Arguments, write: _Writer) -> Checked:
    path, text = arguments
    services = context.services
    pure = writable_path(path, services)
    if isinstance(pure, Refused):
        return pure
    content = text.encode()
    if len(content) > services.bounds.max_write_bytes:
        return Refused(f"expected at most {services.bounds.max_write_bytes} bytes, got {len(content)}")

    def do() -> Result:
        try:
            directory = open_parent(pure, services, make=True)
            if isinstance(directory, Refused):
                return directory
            try:
                obstacle = find_obstacle(directory, pure.name, services) or write(
                    directory, pure.name, content, services
                )
            finally:
                os.close(directory)
        except OSError as error:
            return problem(path, error)
        return Failed(f"{path}: {obstacle.reason}") if obstacle else Done(0)

    cost = max(len(content), SMALLEST_WRITE)
    if context.dry_run:
        try:
            directory = open_parent(pure, services, make=False)
        except FileNotFoundError:
            return Plan(do, would=0, cost=cost)
        except OSError as error:
            return problem(path, error)
        if isinstance(directory, Refused):
            return directory
        os.close(directory)
    return Plan(do, would=0, cost=cost)


def find_obstacle(directory: int, name: str, services: Services) -> Failed | None:
    """Return what stands in the way of writing a file of that name. Raises OSError."""
    check_space(directory, services)
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return None if stat.S_ISREG(status.st_mode) else Failed("expected a regular file or none")


def _replace(directory: int, name: str, content: bytes, services: Services) -> Failed | None:
    replace_atomically(directory, name, lambda descriptor: write_all(descriptor, content))
    return None


def replace_atomically(directory: int, name: str, fill: Callable[[int], None]) -> None:
    """Put a file that `fill` writes in the place of that name. Raises OSError, and whatever `fill` does."""
    temporary = f".raqib-{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NONBLOCK
    descriptor = open_without_links(directory, temporary, flags, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            fill(file.fileno())
            os.fdatasync(file.fileno())
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise


def _append(directory: int, name: str, content: bytes, services: Services) -> Failed | None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = open_without_links(directory, name, flags, FILE_MODE)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return Failed("expected a regular file or none")
        if status.st_uid != os.geteuid() and _others_write(directory):
            # Somebody laid it there to read what will be written.
            return Failed("expected a file of one's own in a directory that others can write")
        if status.st_nlink > 1:
            # A second name may be that of a file that must not be written.
            return Failed("expected a file with one name, this one has several (hard links)")
        if status.st_size + len(content) > (most := services.bounds.max_appended_bytes):
            return Failed(f"expected at most {most} bytes in the file, there would be more")
        write_all(descriptor, content)
    finally:
        os.close(descriptor)
    return None


def _others_write(directory: int) -> bool:
    status = os.fstat(directory)
    return status.st_uid != os.geteuid() or bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of it. Raises OSError."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _stat(context: ActionContext, arguments: Arguments) -> Checked:
    path: str = arguments[0]
    try:
        status = Path(path).stat()
    except OSError as error:
        return problem(path, error)
    return Done(
        {
            "size": status.st_size,
            "mode": stat.filemode(status.st_mode),
            "modTime": rfc3339(status.st_mtime_ns),
            "isDir": stat.S_ISDIR(status.st_mode),
        }
    )


WRITE_ERRORS = (
    "outside `write_paths`; raqib's own files; evidence that was collected; a symbolic link on the way; no regular"
    " file; too large; the recipe's budget is used up; too little free space; the filesystem is full or read-only"
)
READ_ERRORS = "raqib's own data; no such file; no regular file; too large; not permitted"

HELPERS = (
    Helper(
        "ReadFile",
        (_PATH,),
        error='""',
        check=_read_file,
        place="files",
        content_result=True,
        about=Description(
            summary="Reads a regular file, of procfs too; what is not UTF-8 is replaced. Never waits for anybody.",
            result='The contents, `""` on error; an empty file is `""` without a reason in `Errno()`',
            errors=READ_ERRORS,
            example=(
                "Info(ReadFile(`/proc/${data.process.pid}/comm`).trim());\nInfo(ReadFile('/dev/zero') === '', Errno());"
            ),
            prints="sleep\ntrue /dev/zero: expected a regular file",
            type="string",
        ),
    ),
    Helper(
        "WriteFile",
        (_PATH, _TEXT),
        check=_write_file,
        place="files",
        budget="written_bytes",
        about=Description(
            summary="Writes a file of mode 0600 in place of whatever has that name; missing directories are created.",
            result=DONE_OR_NOT,
            errors=WRITE_ERRORS,
            example=(
                "const dir = CreateTempDir();\nInfo(WriteFile(`${dir}/new/note`, data.process.exe));\n"
                "Info(WriteFile('/etc/passwd', ''), Errno() !== '');\nRemoveDir(dir);"
            ),
            prints="0\n-1 true",
        ),
    ),
    Helper(
        "AppendFile",
        (_PATH, _TEXT),
        check=_append_file,
        place="files",
        budget="written_bytes",
        about=Description(
            summary="Adds to the end of a file, which is created if it is not there.",
            result=DONE_OR_NOT,
            errors=f"the file has several names, or is another user's where others can lay files; {WRITE_ERRORS}",
            example=(
                "const dir = CreateTempDir();\nAppendFile(`${dir}/seen`, 'one\\n');\nAppendFile(`${dir}/seen`,"
                " 'two\\n');\n"
                "Info(ReadFile(`${dir}/seen`).split('\\n').length);\nRemoveDir(dir);"
            ),
            prints="3",
        ),
    ),
    Helper(
        "Stat",
        (_PATH,),
        error="null",
        check=_stat,
        place="files",
        about=Description(
            summary="Tells what a file is.",
            result="`size` in bytes, `mode` as `-rw-r--r--`, `modTime` in RFC 3339, `isDir`; null on error",
            errors="no such file; not permitted",
            example="const status = Stat('/etc/passwd');\nInfo(status.mode, status.isDir, Stat('/nowhere'));",
            prints="-rw-r--r-- false null",
            type="{ size: number; mode: string; modTime: string; isDir: boolean } | null",
        ),
    ),
)
