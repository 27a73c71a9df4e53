"""Helpers that take a file as evidence: its hash, or a copy."""

from __future__ import annotations

import hashlib
import os
from pathlib import PurePosixPath

from raqib.actions.context import ActionContext
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
from raqib.actions.helpers.files import (
    READ_ERRORS,
    SMALLEST_WRITE,
    WRITE_ERRORS,
    find_obstacle,
    open_foreign,
    open_regular,
    problem,
    replace_atomically,
    write_all,
)
from raqib.actions.write_guards import open_parent, writable_path
from raqib.errors import RaqibError
from raqib.host.procfs import is_same, living_part, read_stat
from raqib.model.process import ProcessKey

PROGRAM = "exe"
"""What HashFile takes for the current process's program."""

_PIECE = 1 << 20


class TooLargeError(RaqibError):
    """A file has more bytes than are taken."""


def open_process(key: ProcessKey) -> int | Failed:
    """Open the directory in procfs of the very process that a key names.

    What is read through the descriptor is that process's or, once it is gone, nothing: never a later one's. If its
    first thread has ended, it is the directory of another thread, which has the same.
    """
    place = living_part(key.pid)
    try:
        directory = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Failed(f"pid {key.pid} is already gone")
    except OSError as error:
        return Failed(f"pid {key.pid}: {error.strerror}")
    found = read_stat(key.pid)
    if found is not None and is_same(key, found) and os.access("exe", os.F_OK, dir_fd=directory):
        return directory
    os.close(directory)
    return Failed(f"pid {key.pid} is already gone")


def copy_and_hash(source: int, target: int | None, limit: int) -> tuple[int, str]:
    """Read a file to its end, write it to another one if there is one, and return its size and SHA-256.

    Raises OSError, or TooLargeError beyond the limit.
    """
    digest, size = hashlib.sha256(), 0
    while piece := os.read(source, _PIECE):
        size += len(piece)
        if size > limit:
            raise TooLargeError(f"expected at most {limit} bytes, there are more")
        digest.update(piece)
        if target is not None:
            write_all(target, piece)
    return size, digest.hexdigest()


def _hash_file(context: ActionContext, arguments: Arguments) -> Checked:
    # Reading changes nothing, so that a dry run does it as well.
    path: str = arguments[0]
    limit = context.services.bounds.max_hash_bytes
    if path == PROGRAM:
        return _hash_program(context, limit)
    try:
        return _hash(path, open_foreign(path, context.services), limit)
    except OSError as error:
        return problem(path, error)


def _hash_program(context: ActionContext, limit: int) -> Result:
    if not context.detection.ancestry:
        return Failed("the event has no process")
    directory = open_process(context.detection.process.key)
    if isinstance(directory, Failed):
        return directory
    try:
        return _hash(PROGRAM, open_regular(PROGRAM, directory), limit)
    except OSError as error:
        return problem(f"the program of pid {context.detection.process.pid}", error)
    finally:
        os.close(directory)


def _hash(path: str, descriptor: int | Failed | Refused, limit: int) -> Result:
    if not isinstance(descriptor, int):
        return descriptor
    try:
        size, digest = copy_and_hash(descriptor, None, limit)
    except TooLargeError as error:
        return problem(path, error)
    finally:
        os.close(descriptor)
    return Done(digest, details={"size": size})


def _copy_file(context: ActionContext, arguments: Arguments) -> Checked:
    source, target = arguments
    services = context.services
    name = PurePosixPath(source).name
    pure = writable_path(f"{target.removesuffix('/')}/{name}", services)
    if isinstance(pure, Refused):
        return pure
    try:
        descriptor = open_foreign(source, services)
    except OSError as error:
        return problem(source, error)
    if not isinstance(descriptor, int):
        return descriptor

    def do() -> Result:
        copied: list[tuple[int, str]] = []
        try:
            directory = open_parent(pure, services, make=True)
            if isinstance(directory, Refused):
                return directory
            try:
                if (obstacle := find_obstacle(directory, name, services)) is not None:
                    return Failed(f"{pure}: {obstacle.reason}")
                replace_atomically(
                    directory,
                    name,
                    lambda target: copied.append(copy_and_hash(descriptor, target, services.bounds.max_copy_bytes)),
                )
            finally:
                os.close(directory)
        except (OSError, TooLargeError) as error:
            return problem(str(pure), error)
        ((size, digest),) = copied
        return Done(0, details={"size": size, "sha256": digest})

    cost = max(SMALLEST_WRITE, min(os.fstat(descriptor).st_size, services.bounds.max_copy_bytes))
    return Plan(do, would=0, cost=cost, release=lambda: os.close(descriptor))


HELPERS = (
    Helper(
        "HashFile",
        (Argument("path", "string"),),
        error='""',
        check=_hash_file,
        place="files",
        about=Description(
            summary=(
                "Hashes a file. `exe` stands for the current process's program, which can be read even if it was"
                " deleted."
            ),
            result='64 hexadecimal digits, `""` on error',
            errors=f"the process is already gone; {READ_ERRORS}",
            example="Info(HashFile('exe') === HashFile(data.process.exe), HashFile('/dev/null'), Errno());",
            prints="true  /dev/null: expected a regular file",
            type="string",
        ),
    ),
    Helper(
        "CopyFile",
        (Argument("from", "string"), Argument("toDir", "string")),
        check=_copy_file,
        place="files",
        budget="written_bytes",
        about=Description(
            summary="Copies a file, under its own name and with mode 0600, to a directory below `write_paths`.",
            result=DONE_OR_NOT,
            errors=f"{READ_ERRORS}; {WRITE_ERRORS}",
            example=(
                "const dir = CreateTempDir();\nInfo(CopyFile(data.process.exe, dir));\n"
                "Info(HashFile(`${dir}/sleep`) === HashFile('exe'));\nRemoveDir(dir);"
            ),
            prints="0\ntrue",
        ),
    ),
)
