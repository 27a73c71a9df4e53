"""How often exceptions covered something, kept across restarts: one that covers nothing is not needed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from raqib.exceptions.rule import ExceptionRule

FILE_NAME: Final = "exceptions.json"
SAVE_EVERY_S: Final = 60.0
_STILL_S: Final = 3600.0
"""How often it is written down that exceptions are still in force."""
_FORGOTTEN_S: Final = 90 * 86400.0
_MAX_BYTES: Final = 64 << 20


class Count(msgspec.Struct):
    """Of one exception; times are seconds since 1970."""

    since_s: float
    """It was first in force."""
    seen_s: float
    """It was last in force."""
    count: int = 0
    withheld: int = 0
    """Reactions that did not run."""
    last_s: float = 0.0
    """0 if it has covered nothing."""
    last_uuid: str = ""
    last_exe: str = ""
    last_what: str = ""
    """The file or peer."""


_Counts = dict[str, Count]


def read_counts(data_dir: Path) -> _Counts:
    """Return what an agent on a data directory has counted, by the exception's id; nothing if that cannot be read."""
    try:
        with (data_dir / FILE_NAME).open("rb") as file:
            return msgspec.json.decode(file.read(_MAX_BYTES), type=_Counts)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}


class Counts:
    """Belongs to one event loop."""

    def __init__(self, data_dir: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = data_dir / FILE_NAME
        self._clock = clock
        self._counts = read_counts(data_dir)
        self._in_force: tuple[str, ...] = ()
        self._changed = False
        self._saved_s = clock()
        self._log = structlog.get_logger()

    def __getitem__(self, rule_id: str) -> Count:
        """Return the count of an exception that is in force."""
        return self._counts[rule_id]

    @property
    def by_id(self) -> _Counts:
        """All of them."""
        return self._counts

    def take_up(self, rules: Sequence[ExceptionRule]) -> None:
        """Begin to count for exceptions that come into force; those that are long gone are forgotten."""
        now = self._clock()
        for rule in rules:
            known = self._counts.setdefault(rule.id, Count(now, now))
            known.seen_s = now
        self._in_force = tuple(rule.id for rule in rules)
        self._counts = {key: one for key, one in self._counts.items() if now - one.seen_s < _FORGOTTEN_S}
        self._changed = True

    def add(self, rule_id: str, uuid: str, exe: str, what: str, withheld: int) -> None:
        """Count one event that was covered."""
        one = self._counts[rule_id]
        one.count += 1
        one.withheld += withheld
        one.last_s = one.seen_s = self._clock()
        one.last_uuid, one.last_exe, one.last_what = uuid, exe, what
        self._changed = True

    def save_now_and_then(self) -> None:
        """Write them, if they have changed and the last time is a minute ago."""
        passed_s = self._clock() - self._saved_s
        if self._changed and not 0 <= passed_s < SAVE_EVERY_S:
            self.save()
        elif self._in_force and not 0 <= passed_s < _STILL_S:
            self._changed = True
            self.save()

    def save(self) -> None:
        """Write them."""
        if not self._changed:
            return
        self._changed, self._saved_s = False, self._clock()
        for rule_id in self._in_force:
            self._counts[rule_id].seen_s = self._saved_s
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_bytes(msgspec.json.encode(self._counts))
            fresh.replace(self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            self._log.warning("the counts of exceptions cannot be kept", problem=str(error))
