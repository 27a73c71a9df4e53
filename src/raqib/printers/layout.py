"""Styled text as lines of a terminal: in its colours, within its width, in the characters that it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from rich.cells import cell_len, set_cell_size
from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from rich.text import Text

from raqib.printers.terminal import is_unicode

Part: TypeAlias = tuple[str, Style]
"""Text that cannot steer a terminal, and how it looks."""

STRONG = Style(bold=True)
FAINT = Style(dim=True)
PLAIN = Style()

LABEL_COLUMNS = 11
"""Where the text of a labelled line begins."""

_NARROWEST = 30
"""Below it the terminal breaks lines where it likes."""

_ASCII = str.maketrans({"…": "...", "→": "->", "←": "<-", "└": "`", "µ": "u"})


class Layout:
    """Makes lines, each with its newline. `columns` is asked for every line: windows change their size."""

    def __init__(
        self,
        color_system: ColorSystem | None = None,
        columns: Callable[[], int | None] = lambda: None,
        encoding: str = "utf-8",
    ) -> None:
        """Without `columns` no line is broken; without `color_system` there is no escape sequence of any kind."""
        self._color_system = color_system
        self._columns = columns
        self.encoding = encoding
        self._is_unicode = is_unicode(encoding)
        self._console = Console(color_system=None)
        # What rich loads when it breaks the first line takes milliseconds, and reactions wait for printers.
        Text("a b").wrap(self._console, 1)

    def room(self, indent: int) -> int | None:
        """Return how many columns there are behind so many; None if there is no limit."""
        columns = self._columns()
        return None if columns is None else max(columns, _NARROWEST) - indent

    def line(self, parts: Sequence[Part], *, indent: int = 2) -> str:
        """Return one line, or more if it is too long: those that follow begin with `indent` blanks."""
        return self._broken([], parts, indent)

    def labelled(self, label: str, parts: Sequence[Part], style: Style = FAINT) -> str:
        """Return a line with a label before it; if it is broken, the rest stands below its beginning."""
        shown = f"  {label}".ljust(LABEL_COLUMNS - 1) + " "
        return self._broken([(shown, style if label else PLAIN)], parts, LABEL_COLUMNS)

    def cut(self, text: str, columns: int | None) -> str:
        """Return text that is at most so wide, with its middle cut out."""
        if columns is None or cell_len(text) <= columns:
            return text
        gap = "…" if self._is_unicode else "..."
        left = max(columns - len(gap), 2)
        begin, end = left // 2, left - left // 2
        return f"{set_cell_size(text, begin).rstrip()}{gap}{set_cell_size(text[::-1], end).rstrip()[::-1]}"

    def _broken(self, first: Sequence[Part], rest: Sequence[Part], indent: int) -> str:
        first, rest = self._written(first), self._written(rest)
        room = self.room(indent)
        used = sum(cell_len(text) for text, _ in first)
        if room is None or used + sum(cell_len(text) for text, _ in rest) <= room + indent:
            return self._painted([*first, *rest]) + "\n"
        wrapped = Text.assemble(*rest, end="").wrap(self._console, room, overflow="fold")
        for line in wrapped:
            line.rstrip()
        lines = [[(segment.text, _style(segment.style)) for segment in line.render(self._console)] for line in wrapped]
        blank = " " * indent
        return "".join(
            f"{self._painted([*first, *line]) if number == 0 else blank + self._painted(line)}\n"
            for number, line in enumerate(lines)
        )

    def _written(self, parts: Sequence[Part]) -> list[Part]:
        """Return the parts in characters that can be written here."""
        if self._is_unicode:
            return [*parts]
        return [
            (text.translate(_ASCII).encode(self.encoding, "backslashreplace").decode(self.encoding), style)
            for text, style in parts
        ]

    def _painted(self, parts: Sequence[Part]) -> str:
        if self._color_system is None:
            return "".join(text for text, _ in parts)
        return "".join(style.render(text, color_system=self._color_system) for text, style in parts)


def _style(style: Style | None) -> Style:
    return style or PLAIN
