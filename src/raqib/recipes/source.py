"""Reading a file that people have written: what it may be is told in the same words everywhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from raqib.model.quantity import format_size


class BadSourceError(ValueError):
    """Says what was expected instead of this file."""


def read_source(path: Path, most_bytes: int) -> bytes:
    """Return a file's content.

    Raises BadSourceError if there is none, it is no regular file, it is too large, or it cannot be read.
    """
    try:
        # A pipe that nobody writes to would hold everything up.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise BadSourceError("expected a file, found none") from None
    except (OSError, ValueError) as error:
        raise BadSourceError(f"expected a readable file: {getattr(error, 'strerror', None) or error}") from None
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            raise BadSourceError("expected a regular file" + (", found a directory" if stat.S_ISDIR(mode) else ""))
        with open(fd, "rb", closefd=False) as file:
            text = file.read(most_bytes + 1)
    except OSError as error:
        raise BadSourceError(f"expected a readable file: {error.strerror}") from None
    finally:
        os.close(fd)
    if len(text) > most_bytes:
        raise BadSourceError(f"expected at most {format_size(most_bytes)}, found more")
    return text


def is_missing(path: Path) -> bool:
    """Tell whether there is nothing; what cannot be looked at is there."""
    try:
        return not path.exists()
    except OSError:
        return False
