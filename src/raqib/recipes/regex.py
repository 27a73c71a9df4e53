"""RE2 expressions as recipes write them: unanchored search, linear time, and no byte that `.` does not match."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import re2

from raqib.errors import RaqibError

MAX_MEMORY = 64 << 20
"""Bytes that one expression, or one set of them, may use; taken only as needed."""


class BadExpressionError(RaqibError):
    """Not an RE2 expression; the message is RE2's."""


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True  # a line feed in a name must not hide it
    options.never_capture = True
    options.max_mem = MAX_MEMORY
    return options


_OPTIONS = _options()


def subject(raw: bytes) -> bytes:
    """Return what expressions search: valid UTF-8, U+FFFD standing for what was not."""
    return raw if raw.isascii() else raw.decode("utf-8", "replace").encode()


class Expression:
    """One compiled expression."""

    __slots__ = ("_compiled", "source")

    def __init__(self, source: str) -> None:
        """Compile an expression. Raises BadExpressionError."""
        self.source = source
        try:
            self._compiled = re2.compile(source.encode(), _OPTIONS)
        except (re2.error, UnicodeEncodeError) as error:
            raise BadExpressionError(_reason(error)) from None

    def found_in(self, text: bytes) -> bool:
        """Tell whether the expression occurs in a text, which `subject` has made valid."""
        return self._compiled.search(text) is not None


class ExpressionSet:
    """Many expressions, searched in one pass whatever their number."""

    __slots__ = ("_set", "_single")

    def __init__(self, sources: Sequence[str]) -> None:
        """Compile; the sources have been compiled before, each by itself."""
        self._single = [Expression(source) for source in sources] if len(sources) <= 2 else []
        self._set: Any = None
        if not self._single and sources:
            try:
                found = re2.Set.SearchSet(_OPTIONS)
                for source in sources:
                    found.Add(source)
                found.Compile()
                self._set = found
            except re2.error:  # together they are too large
                self._single = [Expression(source) for source in sources]

    def found_in(self, text: bytes) -> list[int]:
        """Return the indexes of the expressions that occur in a text, which `subject` has made valid."""
        if self._set is not None:
            return list(self._set.Match(text) or ())
        return [index for index, expression in enumerate(self._single) if expression.found_in(text)]


def _reason(error: Exception) -> str:
    first = error.args[0] if error.args else error
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)
