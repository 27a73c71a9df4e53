"""The list of what was collected, with the hash of each file; `verify_evidence` holds a directory against it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from raqib.errors import RaqibError

MANIFEST = "manifest.json"

_PIECE = 1 << 20


class File(msgspec.Struct, frozen=True):
    """A file that was collected."""

    name: str
    size: int
    sha256: str


class Missing(msgspec.Struct, frozen=True):
    """What could not be collected."""

    name: str
    reason: str


class Manifest(msgspec.Struct, frozen=True):
    """What is in a directory of evidence. Its own hash is in the ledger."""

    uuid: str
    """The event's."""
    kind: str
    recipe: str
    pid: int | None
    collected: str
    """RFC 3339."""
    files: tuple[File, ...]
    missing: tuple[Missing, ...]


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of a directory. Raises OSError, or RaqibError if it is none."""
    path = directory / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.DecodeError as error:
        raise RaqibError(f"{path}: expected a manifest, found: {error}") from error


def verify_evidence(directory: Path) -> list[str]:
    """Return what in a directory of evidence is not as its manifest says; nothing if all is.

    Raises OSError, or RaqibError if there is no manifest.
    """
    problems = []
    listed = {MANIFEST}
    for file in read_manifest(directory).files:
        listed.add(file.name)
        path = directory / file.name
        if not path.is_file():
            problems.append(f"{file.name}: expected a file, found none")
        elif (size := path.stat().st_size) != file.size:
            problems.append(f"{file.name}: expected {file.size} bytes, found {size}")
        elif (digest := _hash(path)) != file.sha256:
            problems.append(f"{file.name}: expected SHA-256 {file.sha256}, found {digest}")
    return problems + [f"{path.name}: not in the manifest" for path in directory.iterdir() if path.name not in listed]


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
