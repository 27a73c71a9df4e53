"""Literals that must be in a name for a pattern to match it: what the kernel can test by hashing.

A literal stands for a superset of the names that its pattern matches. Where that cannot be seen with certainty, there
is no literal, and user space decides. Expressions are read by a parser of our own that knows little and gives up early:
every construct that it does not know for certain widens the set of names, never narrows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Literal, NamedTuple

from raqib.recipes.spec import Pattern

LiteralKind = Literal["exact", "base", "dir", "prefix"]

MAX_ALTERNATIVES = 64
"""How many alternatives one expression may fall into; a group with more of them counts as any text."""

_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_OPAQUE = frozenset("dDsSwWbB")
"""Escapes that stand for a character of a class, or for a word's boundary."""
_REPLACEMENT = "\ufffd"


class NameLiteral(NamedTuple):
    """A test of a name: the whole of it, its last component, its directory, or a directory above it."""

    kind: LiteralKind
    value: bytes


def pattern_literals(pattern: Pattern) -> list[NameLiteral] | None:
    """Return literals one of which holds for every name that the pattern matches; None if there are none."""
    base, directory = pattern.base, pattern.dir
    if base is not None and directory is not None and pattern.regex is None:
        return [NameLiteral("exact", join(directory, base))]
    if base is not None:
        return [NameLiteral("base", base)]
    if pattern.regex is None:
        return None if directory is None else [NameLiteral("dir", directory)]
    found = expression_literals(pattern.regex, b"" if directory is None else join(directory, b""))
    if found is None and directory is not None and directory != b"/":
        return [NameLiteral("prefix", directory)]
    return found


def join(directory: bytes, base: bytes) -> bytes:
    """Return the path of a name in a directory."""
    return directory + base if directory == b"/" else directory + b"/" + base


def expression_literals(source: str, below: bytes = b"") -> list[NameLiteral] | None:
    """Return literals for an expression that is searched in what follows `below` in a name; None if there are none."""
    alternatives = _parse(source)
    if alternatives is None:
        return None
    result: dict[NameLiteral, None] = {}
    for alternative in alternatives:
        literal = _literal(alternative, below)
        if literal is None:
            return None
        result[literal] = None
    return list(result)


def begins_with(source: str, prefix: str) -> bool:
    """Tell whether only texts that begin so match the expression; False where that cannot be told."""
    alternatives = _parse(source)
    return alternatives is not None and all(
        parts[:1] == (_Mark.BEGIN,) and _run(parts[1:]).startswith(prefix) for parts in alternatives
    )


# An alternative is a sequence of parts: a string is that text, the others are marks.


class _Mark(Enum):
    ANY = "any text at all, also none"
    BEGIN = "the beginning"
    END = "the end"


_MARKS = {"^": _Mark.BEGIN, "$": _Mark.END, ".": _Mark.ANY}
_Part = str | _Mark
_Parts = tuple[_Part, ...]
_ANYTHING: list[_Parts] = [(_Mark.ANY,)]


def _literal(parts: _Parts, below: bytes) -> NameLiteral | None:
    anchored = bool(parts) and parts[0] is _Mark.BEGIN
    body = [part for part in parts if part is not _Mark.BEGIN]
    ended = _Mark.END in body
    if ended:
        body = body[: body.index(_Mark.END)]
    first = _run(body)
    last = _run(body[::-1], backwards=True)
    if anchored and ended and len(first) == len(last) and all(isinstance(part, str) for part in body):
        name = below + first.encode()
        return NameLiteral("exact", name) if name.startswith(b"/") and name != b"/" else None
    if ended:
        whole_component = last.rpartition("/")
        if whole_component[1] and whole_component[2]:
            return NameLiteral("base", whole_component[2].encode())
    if anchored:
        head = below + first.encode()
        directory = head[: head.rfind(b"/")] if b"/" in head else b""
        if head.startswith(b"/") and directory:
            return NameLiteral("prefix", directory)
    return None


def _run(body: Sequence[_Part], *, backwards: bool = False) -> str:
    """Return the literal text at the front."""
    texts = []
    for part in body:
        if not isinstance(part, str):
            break
        texts.append(part)
    return "".join(texts[::-1] if backwards else texts)


class _GiveUp(Exception):  # noqa: N818 - not an error: the parser's answer "could not tell"
    pass


def _parse(source: str) -> list[_Parts] | None:
    if _REPLACEMENT in source:  # it also matches bytes that are not UTF-8
        return None
    parser = _Parser(source)
    try:
        alternatives = parser.alternation(0)
    except _GiveUp:
        return None
    return alternatives if parser.at == len(source) else None


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0

    def _peek(self) -> str:
        return self.source[self.at : self.at + 1]

    def _next(self) -> str:
        taken = self._peek()
        if not taken:
            raise _GiveUp
        self.at += 1
        return taken

    def alternation(self, depth: int) -> list[_Parts]:
        if depth > 20:
            raise _GiveUp
        result = self._concatenation(depth)
        while self._peek() == "|":
            self.at += 1
            result = result + self._concatenation(depth)
        return result if len(result) <= MAX_ALTERNATIVES else _ANYTHING

    def _concatenation(self, depth: int) -> list[_Parts]:
        result: list[_Parts] = [()]
        while self._peek() not in ("", "|", ")"):
            repeated = self._repeat(self._atom(depth))
            if len(result) * len(repeated) > MAX_ALTERNATIVES:
                repeated = _ANYTHING
            result = [beginning + other for beginning in result for other in repeated]
        return result

    def _atom(self, depth: int) -> list[_Parts]:
        taken = self._next()
        if taken == "(":
            if self._peek() == "?":
                if self.source[self.at : self.at + 2] != "?:":
                    raise _GiveUp
                self.at += 2
            inside = self.alternation(depth + 1)
            if self._next() != ")":
                raise _GiveUp
            return inside
        if taken == "[":
            return [self._bracket()]
        if taken == "\\":
            return [self._escape()]
        if taken in "*+?{":
            raise _GiveUp
        return [(_MARKS.get(taken, taken),)]

    def _escape(self) -> _Parts:
        taken = self._next()
        if taken in _PUNCTUATION:
            return (taken,)
        if taken in _OPAQUE:
            return (_Mark.ANY,)
        if taken == "A":
            return (_Mark.BEGIN,)
        if taken == "z":
            return (_Mark.END,)
        raise _GiveUp

    def _bracket(self) -> _Parts:
        """Read a class: one plain character in it is that character, all else may be anything."""
        content = []
        if self._peek() == "^":
            content.append(self._next())
        if self._peek() == "]":
            content.append(self._next())
        while (taken := self._next()) != "]":
            if taken == "[":  # perhaps [:alpha:]
                raise _GiveUp
            if taken == "\\":
                taken = self._next()
                if taken not in _PUNCTUATION and taken not in _OPAQUE:
                    raise _GiveUp
                taken = "\\" + taken
            content.append(taken)
        only = content[0] if len(content) == 1 else ""
        if len(only) == 2 and only[1] in _PUNCTUATION:
            return (only[1],)
        return (only,) if only and len(only) == 1 and only not in "^]" else (_Mark.ANY,)

    def _repeat(self, atom: list[_Parts]) -> list[_Parts]:
        operator = self._peek()
        if operator not in ("*", "+", "?", "{"):
            return atom
        self.at += 1
        if operator == "{":
            raise _GiveUp
        if self._peek() == "?":
            self.at += 1
        if self._peek() in ("*", "+", "?", "{") and self._peek():
            raise _GiveUp
        if operator == "?":
            return [*atom, ()]
        if operator == "*":
            return [(_Mark.ANY,)]
        return [(*parts, _Mark.ANY) for parts in atom]
