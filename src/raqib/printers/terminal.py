"""What may be written to an output: colours, characters, and how wide a line can be."""

from __future__ import annotations

import codecs
import locale
import os
import sys
from typing import TextIO

from rich.color import ColorSystem
from rich.console import COLOR_SYSTEMS, Console

_USUAL_COLUMNS = 80


def color_system(file: TextIO) -> ColorSystem | None:
    """Return the colours to write to a file in; None: no escape sequence of any kind.

    A terminal gets what TERM and COLORTERM say; `dumb` and NO_COLOR nothing. FORCE_COLOR makes any other file a
    terminal in this respect, and in this one alone: never does it change the format. Empty variables count as unset.
    """
    console = Console(file=file)
    if console.no_color or console.color_system is None:
        return None
    return COLOR_SYSTEMS[console.color_system]


def columns(fd: int) -> int | None:
    """Return how many columns the terminal has now; None if it is none, where lines are not to be broken."""
    try:
        return os.get_terminal_size(fd).columns or _USUAL_COLUMNS
    except OSError:
        return None


def encoding() -> str:
    """Return the encoding of what is written for people: UTF-8, unless locale or standard output have another."""
    for name in (getattr(sys.stdout, "encoding", None), locale.getencoding()):
        if name and not is_unicode(name):
            return str(name)
    return "utf-8"


def is_unicode(name: str) -> bool:
    """Return whether an encoding has every character."""
    return codecs.lookup(name).name == "utf-8"
