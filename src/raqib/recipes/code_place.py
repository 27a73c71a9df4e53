"""Where a line of a reaction's code stands in the recipe file that it came from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from raqib.recipes.check import name_of
from raqib.recipes.document import Mapping, Node, Scalar, Sequence, parse
from raqib.recipes.reader import is_empty
from raqib.recipes.source import BadSourceError, read_source


class Place(NamedTuple):
    """Line and column in the file, from 1."""

    line: int
    column: int
    """0: only the line is known in which the code begins, since YAML folds its lines."""


class CodePlaces:
    """Reads a file when the first place in it is asked for, and once."""

    def __init__(self, source: str, most_bytes: int) -> None:
        """`source` is the file's path."""
        self._source = source
        self._most_bytes = most_bytes
        self._read: tuple[Node | None, list[str]] | None = None

    def find(self, recipe: str, index: int, code: str, line: int, column: int) -> Place | None:
        """Return where line and column of the code are; None if the file is not that of the code any more."""
        if self._read is None:
            self._read = self._parse()
        root, lines = self._read
        scalar = _code(root, recipe, index)
        if scalar is None or scalar.value != code:
            return None
        wanted = code.split("\n")[line - 1 : line]
        if scalar.style == "|" and wanted and scalar.line + line <= len(lines):
            found = lines[scalar.line + line - 1]
            if found.endswith(wanted[0]):
                return Place(scalar.line + line, len(found) - len(wanted[0]) + column)
        single = code.strip()
        found = lines[scalar.line - 1] if scalar.line <= len(lines) else ""
        if scalar.style != "|" and "\n" not in single and found.count(single) == 1:
            indent = len(wanted[0]) - len(wanted[0].lstrip()) if wanted else 0
            return Place(scalar.line, found.index(single) + column - indent)
        return Place(scalar.line, 0)

    def _parse(self) -> tuple[Node | None, list[str]]:
        try:
            text = read_source(Path(self._source), self._most_bytes)
        except BadSourceError:
            return None, []
        root, _ = parse(text)
        return root, [line.rstrip("\r") for line in text.decode("utf-8", "replace").removeprefix("\ufeff").split("\n")]


def _code(root: Node | None, recipe: str, index: int) -> Scalar | None:
    items = root.items if isinstance(root, Sequence) else []
    for item in items:
        if not isinstance(item, Mapping) or name_of(item) != recipe:
            continue
        reactions = item.entries.get("reactions")
        entries = reactions.items if isinstance(reactions, Sequence) else [reactions]
        mappings = [entry for entry in entries if isinstance(entry, Mapping) and not is_empty(entry)]
        code = mappings[index].entries.get("code") if index < len(mappings) else None
        return code if isinstance(code, Scalar) else None
    return None
