"""Reading typed values out of a recipe's nodes; what does not fit is noted with its path, and reading goes on."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple, TypeVar, cast

from raqib.recipes.diagnostic import Diagnostic, nearest, shown
from raqib.recipes.document import Mapping as MappingNode
from raqib.recipes.document import Node, Scalar, Sequence, child_path, is_nothing
from raqib.recipes.regex import BadExpressionError, Expression

Choice = TypeVar("Choice", bound=str)

_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


class At(NamedTuple):
    """A node and where it stands."""

    node: Node
    path: str

    def child(self, key: str) -> str:
        """Return the path of a field."""
        return child_path(self.path, key)


class Reader:
    """Notes what is wrong with one recipe."""

    def __init__(self, source: str, recipe: str) -> None:
        self.source = source
        self.recipe = recipe
        self.diagnostics: list[Diagnostic] = []

    @property
    def failed(self) -> bool:
        """Whether an error was noted."""
        return any(diagnostic.severity == "error" for diagnostic in self.diagnostics)

    def error(self, at: At, message: str) -> None:
        """Note an error."""
        self._note("error", at, message)

    def warning(self, at: At, message: str) -> None:
        """Note a warning."""
        self._note("warning", at, message)

    def _note(self, severity: Literal["error", "warning"], at: At, message: str, line: int = 0) -> None:
        self.diagnostics.append(Diagnostic(severity, self.source, self.recipe, at.path, message, line or at.node.line))

    def fields(self, at: At, known: Collection[str], slips: Mapping[str, str] | None = None) -> dict[str, At]:
        """Return the fields of a mapping that are known and not empty."""
        node = at.node
        if not isinstance(node, MappingNode):
            self.error(at, f"expected a mapping, found {kind_of(node)}")
            return {}
        result: dict[str, At] = {}
        for key, value in node.entries.items():
            field = At(value, at.child(key))
            if key not in known:
                hint = f"; {slips[key]}" if slips and key in slips else nearest(key, known)
                self._note(
                    "error", field, f"expected a known field, found {shown(key)}{hint}", node.key_lines.get(key, 0)
                )
            elif not is_empty(value):
                result[key] = field
        return result

    def text(self, at: At | None, expected: str = "a string") -> str | None:
        """Return a string as written; None if there is none."""
        if at is None:
            return None
        if isinstance(at.node, Scalar):
            return at.node.value
        self.error(at, f"expected {expected}, found {kind_of(at.node)}")
        return None

    def entries(self, at: At | None, *, split: bool = False) -> list[At]:
        """Return the entries of a list; anything else is a list of one, and with `split`, `a|b` is one of two."""
        if at is None:
            return []
        if isinstance(at.node, Sequence):
            return [At(item, f"{at.path}[{index}]") for index, item in enumerate(at.node.items) if not is_empty(item)]
        if split and isinstance(at.node, Scalar):
            parts = (part.strip() for part in at.node.value.split("|"))
            return [At(Scalar(part, at.node.line, at.node.plain), at.path) for part in parts if part]
        return [at]

    def texts(self, at: At | None, *, split: bool = True) -> list[tuple[str, At]]:
        """Return the strings of a list, each with its place."""
        result = []
        for entry in self.entries(at, split=split):
            text = self.text(entry)
            if text is not None:
                result.append((text.strip() if split else text, entry))
        return result

    def choice(
        self, at: At | None, choices: Collection[Choice], slips: Mapping[str, str] | None = None
    ) -> Choice | None:
        """Return one of the words, in lower case; None if there is none or it is another."""
        text = self.text(at)
        if text is None or at is None:
            return None
        return self.word(text, at, choices, slips)

    def word(
        self, text: str, at: At, choices: Collection[Choice], slips: Mapping[str, str] | None = None
    ) -> Choice | None:
        """Return the word if it is one of the known, else note an error."""
        folded = text.strip().lower()
        if folded in choices:
            return cast("Choice", folded)
        listed = " or ".join(choices) if len(choices) <= 6 else "a known word"
        hint = f"; {slips[folded]}" if slips and folded in slips else nearest(folded, choices)
        self.error(at, f"expected {listed}, found {shown(text)}{hint}")
        return None

    def boolean(self, at: At | None, default: bool) -> bool:
        """Return a truth value."""
        text = self.text(at, "true or false")
        if text is None or at is None:
            return default
        folded = text.strip().lower()
        if folded in _TRUE or folded in _FALSE:
            return folded in _TRUE
        self.error(at, f"expected true or false, found {shown(text)}")
        return default

    def integer(self, at: At | None, low: int, high: int) -> int | None:
        """Return a whole number within bounds, which are both allowed."""
        text = self.text(at, "a number")
        if text is None or at is None:
            return None
        stripped = text.strip()
        if _INTEGER.fullmatch(stripped) and low <= int(stripped) <= high:
            return int(stripped)
        self.error(at, f"expected a whole number from {low} to {high}, found {shown(text)}")
        return None

    def expression(self, at: At | None) -> str | None:
        """Return an RE2 expression that compiles."""
        text = self.text(at)
        if text is None or at is None:
            return None
        try:
            Expression(text)
        except BadExpressionError as error:
            hint = "; RE2 has no look-around and no back-references" if "(?" in text or "escape" in str(error) else ""
            self.error(at, f"expected an RE2 expression, found {shown(text)}: {ascii(str(error))[1:-1]}{hint}")
            return None
        return text


def is_empty(node: Node) -> bool:
    """Tell whether nothing stands behind a key."""
    return isinstance(node, Scalar) and is_nothing(node)


def kind_of(node: Node) -> str:
    """Name a node's kind for a message."""
    return {Scalar: "a string", Sequence: "a list", MappingNode: "a mapping"}[type(node)]
