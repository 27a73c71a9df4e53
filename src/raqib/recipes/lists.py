"""Lists of names and of networks in files of their own: read once for as long as they do not change."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TextIO, TypeVar

from raqib.errors import RaqibError
from raqib.recipes.diagnostic import shown
from raqib.recipes.fingerprint import Fingerprint, fingerprint, is_settled
from raqib.recipes.networks import DomainMatch, DomainSet, NetworkSet, list_entries
from raqib.recipes.spec import DomainList, NetworkList

MAX_LIST_BYTES: Final = 512 << 20
_LONGEST_LINE: Final = 1 << 16
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[^\s/:@.]{1,63}(\.[^\s/:@.]{1,63})*")
_FILTER = re.compile(r"\|\|([^/^$*|]+)\^?(\$.*)?")
"""A name as lists for content blockers write it."""


class BadListError(RaqibError):
    """A list cannot be read, or is none; the message does not name the file."""


Entries = TypeVar("Entries", DomainList, NetworkList)


class Read(NamedTuple, Generic[Entries]):
    """A list, and what there is to say about it."""

    entries: Entries
    warnings: tuple[str, ...]


_Cached = dict[tuple[Path, str], tuple[Fingerprint, Any]]


class ListCache:
    """What was read, by file, kind and state of the file. One thread at a time."""

    def __init__(self) -> None:
        self.known: _Cached = {}

    def keep(self, paths: Iterable[Path]) -> None:
        """Forget all files but these."""
        wanted = set(paths)
        self.known = {key: value for key, value in self.known.items() if key[0] in wanted}


class Lists:
    """Reads the lists that the recipes of one place name."""

    def __init__(
        self,
        directory: Path,
        cache: ListCache | None = None,
        guard: Callable[[Path], str | None] = lambda path: None,
    ) -> None:
        """Relative paths begin at `directory`; `guard` says why a file must not be used."""
        self._directory = directory
        self._cache = cache or ListCache()
        self._guard = guard
        self.used: dict[Path, Fingerprint | None] = {}
        """The files that were asked for, by what changes with them; None for one that has to be looked at again."""

    def domains(self, path: str | Path, match: DomainMatch) -> Read[DomainList]:
        """Return a file's names. Raises BadListError."""
        return self._read(Path(path), match, lambda name, file: _read_domains(name, file, match))

    def networks(self, path: str | Path) -> Read[NetworkList]:
        """Return a file's networks. Raises BadListError."""
        return self._read(Path(path), "networks", _read_networks)

    def _read(self, given: Path, kind: str, read: Callable[[str, TextIO], Read[Entries]]) -> Read[Entries]:
        path = self._directory / given
        mark = fingerprint(path)
        self.used[path] = mark
        try:
            problem = self._guard(path)
            if problem is not None:
                raise BadListError(problem)
            known = self._cache.known.get((path, kind))
            if known is not None and known[0] == mark:
                cached: Read[Entries] = known[1]
                return cached
            with _open(path) as file:
                found = read(str(path), file)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise BadListError(f"expected a list that can be read: {reason or error}") from None
        if mark is not None and is_settled(mark):
            self._cache.known[path, kind] = (mark, found)
        else:
            self.used[path] = None
        return found


def _open(path: Path) -> TextIO:
    # Not blocked by a pipe without a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_LIST_BYTES:
        os.close(descriptor)
        raise BadListError(f"expected a regular file of at most {MAX_LIST_BYTES >> 20} MiB")
    return os.fdopen(descriptor, "r", encoding="utf-8", errors="replace")


def _read_domains(path: str, file: TextIO, match: DomainMatch) -> Read[DomainList]:
    strange = ""
    count = 0

    def names() -> Iterator[str]:
        nonlocal count, strange
        for entry in list_entries(_lines(file)):
            name = entry.strip(".")
            if not _DOMAIN.fullmatch(name) or "*" in name or "|" in name:
                name = _plain(entry)
            if name:
                yield name
            else:
                count += 1
                strange = strange or entry

    entries = DomainSet(names(), match)
    warnings = []
    if count:
        warnings.append(f"expected names of hosts, found {count} other entries, the first being {shown(strange)}")
    if not len(entries):
        warnings.append("expected entries, found none: nothing matches")
    return Read(DomainList(path, entries), tuple(warnings))


def _plain(entry: str) -> str:
    """Return the name in `*.example.org` and in `||example.org^`; empty if there is none."""
    found = _FILTER.fullmatch(entry)
    name = (found[1] if found else entry.removeprefix("*.")).strip(".")
    return name if _DOMAIN.fullmatch(name) and "*" not in name and "|" not in name else ""


def _read_networks(path: str, file: TextIO) -> Read[NetworkList]:
    number = 0
    word = ""

    def cidrs() -> Iterator[str]:
        nonlocal number, word
        for number, line in enumerate(_lines(file), 1):  # noqa: B007  # read where an entry is none
            words = line.partition("#")[0].partition(";")[0].split()
            if words:
                word = words[0]
                yield word

    try:
        entries = NetworkSet(cidrs())
    except ValueError:
        raise BadListError(
            f"expected an address or a network as 10.0.0.0/8 in line {number}, found {shown(word)}"
        ) from None
    warnings = () if len(entries) else ("expected entries, found none: nothing matches",)
    return Read(NetworkList(path, entries), warnings)


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(_LONGEST_LINE):
        yield line
