"""Decides what may be written, and walks to the directory of it without following any symbolic link on the way."""

from __future__ import annotations

import errno
import os
from pathlib import Path, PurePosixPath

from raqib.actions.context import Services
from raqib.actions.declare import Refused
from raqib.actions.manifest import MANIFEST
from raqib.host.opening import open_without_links

_DIRECTORY = os.O_DIRECTORY | os.O_RDONLY

PARENT_MODE = 0o700

_OWN = Refused("raqib's own files are never written")
_EVIDENCE = Refused("evidence that was collected is never changed")


def writable_path(path: str, services: Services) -> PurePosixPath | Refused:
    """Return a path that is spelled out and below one of the paths that may be written, or why it is refused."""
    parts = path.split("/")
    if not path.startswith("/") or path.endswith("/") or ".." in parts or "." in parts:
        return Refused("expected an absolute path of a file without . and .. in it")
    pure = PurePosixPath("/" + path.lstrip("/"))
    roots = [PurePosixPath(root) for root in (*services.settings.write_paths, str(services.places.evidence_dir))]
    if not any(root in pure.parents for root in roots):
        return Refused(f"expected a path below {', '.join(map(str, roots))}")
    own = {PurePosixPath(path) for path in services.places.own_paths}
    return pure if own.isdisjoint((pure, *pure.parents)) else _OWN


def open_parent(path: PurePosixPath, services: Services, *, make: bool) -> int | Refused:
    """Open the directory that a file is in, step by step; with `make`, missing ones are created.

    A step into raqib's own directory is refused, whatever name leads there, unless the next is into the evidence; and
    so are steps to own files elsewhere, and into evidence that was collected. Raises OSError.
    """
    own = _identity(services.places.data_dir)
    evidence = _identity(services.places.evidence_dir)
    elsewhere = _Own(services.places.own_paths)
    current = open_without_links(None, "/", _DIRECTORY)
    within_own = within_evidence = False
    refused = None
    try:
        for part in path.parent.parts[1:]:
            if elsewhere.has(current, part):
                refused = _OWN
                break
            following = _step(current, part, services if make and not within_own else None)
            os.close(current)
            current = following
            status = os.fstat(current)
            identity = (status.st_dev, status.st_ino)
            if within_evidence and _has(current, MANIFEST):
                refused = _EVIDENCE
                break
            within_own = (within_own or identity == own) and identity != evidence
            within_evidence = within_evidence or identity == evidence
        else:
            refused = _OWN if within_own or elsewhere.has(current, path.name) else None
    except BaseException:
        os.close(current)
        raise
    if refused is not None:
        os.close(current)
        return refused
    return current


def check_space(directory: int, services: Services) -> None:
    """Look whether there is room on an open directory's filesystem. Raises OSError (ENOSPC)."""
    space = os.fstatvfs(directory)
    if space.f_bavail * space.f_frsize < services.bounds.min_free_bytes:
        raise OSError(errno.ENOSPC, f"the filesystem has less than {services.bounds.min_free_bytes} bytes left")
    # Some filesystems count no inodes.
    if space.f_files and space.f_favail < services.bounds.min_free_inodes:
        raise OSError(errno.ENOSPC, f"the filesystem has less than {services.bounds.min_free_inodes} inodes left")


def _step(directory: int, name: str, making: Services | None) -> int:
    """Open a directory in another; with `making`, make it if it is missing and there is room. Raises OSError."""
    try:
        return open_without_links(directory, name, _DIRECTORY)
    except FileNotFoundError:
        if making is None:
            raise
    check_space(directory, making)
    os.mkdir(name, PARENT_MODE, dir_fd=directory)
    return open_without_links(directory, name, _DIRECTORY)


def is_own_data(descriptor: int, services: Services) -> bool:
    """Tell whether an open file is one that lies in raqib's data directory itself, whatever name led to it.

    Raises OSError.
    """
    status = os.fstat(descriptor)
    own = services.places.data_dir
    if (directory := _identity(own)) is None or directory[0] != status.st_dev:
        return False
    with os.scandir(own) as entries:
        return any(os.path.samestat(entry.stat(follow_symlinks=False), status) for entry in entries)


class _Own:
    """Files and directories of raqib's outside of its data directory, known by what they are and by where they are."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._identities = {_identity(path) for path in paths} - {None}
        self._places = {(_identity(path.parent), path.name) for path in paths}

    def has(self, directory: int, name: str) -> bool:
        """Tell whether a name in a directory is that of one of them, there already or not. Raises OSError."""
        if not self._places:
            return False
        parent = os.fstat(directory)
        if ((parent.st_dev, parent.st_ino), name) in self._places:
            return True
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) in self._identities


def _has(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
