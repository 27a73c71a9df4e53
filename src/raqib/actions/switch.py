"""The switch of all actions: disarmed, reactions go on, but nothing is done. It survives a restart as a file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from raqib.ledger.archives import sync_directory

FILE_NAME = "disarmed"


class Switch:
    """Armed or not. May be read from several threads."""

    def __init__(self, directory: Path | None = None) -> None:
        """Take up what the file in the data directory says; None: armed, and nothing is kept.

        Raises OSError if that cannot be found out.
        """
        self._path = None if directory is None else directory / FILE_NAME
        self._armed = self._path is None or not _exists(self._path)
        self._listeners: list[Callable[[], object]] = []

    @property
    def armed(self) -> bool:
        """Whether actions are done."""
        return self._armed

    def when_disarmed(self, listener: Callable[[], object]) -> None:
        """Have a function called each time that actions are switched off, in the thread that does so."""
        self._listeners.append(listener)

    def disarm(self) -> bool:
        """Switch all actions off, at once; False if they were off.

        Raises OSError if that will not survive a restart; they are off all the same.
        """
        changed, self._armed = self._armed, False
        for listener in self._listeners:
            listener()
        if self._path is not None and not _exists(self._path):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            os.close(descriptor)
            sync_directory(self._path.parent)
        return changed

    def arm(self) -> bool:
        """Switch actions on again; False if they were on. Raises OSError, and they stay off."""
        if self._path is not None:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
                sync_directory(self._path.parent)
        changed, self._armed = not self._armed, True
        return changed


def _exists(path: Path) -> bool:
    # Whatever stands there, even a broken link, was put there to stop actions.
    return os.path.lexists(path)
