"""YAML text becomes a tree of nodes: scalars stay strings as written, and every node knows its line.

The tree is built from the parser's events, not by its composer: nesting, aliases and duplicate keys are then judged
here, and no input can exhaust the stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, cast

import yaml

MAX_DEPTH: Final = 32
MAX_ALIASES: Final = 16
"""In one recipe."""
MAX_ALIASED_NODES: Final = 10_000
"""How large the target of one alias may be, what it refers to included."""

_SYNTAX_HINTS: Final = {
    "tab character": "; indent with blanks, not with tabs",
    "cannot start any token": "; indent with blanks, not with tabs, and put special characters into quotes",
    "mapping values are not allowed": "; indent the line as those above, and put a value with a colon into quotes",
    "did not find expected": "; indent the line as those above that it belongs to",
    "could not find expected ':'": "; indent the line as those above that it belongs to, or add the colon",
    "unexpected end of stream": "; close the quote",
}
"""What is behind most mistakes, by the parser's words for them."""

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,59}")


@dataclass(slots=True)
class Scalar:
    """A string as written; `plain` says that it had no quotes and was no block, `style` is YAML's mark for it."""

    value: str
    line: int
    plain: bool = True
    size: int = 1
    style: str = ""


@dataclass(slots=True)
class Sequence:
    """A list."""

    items: list[Node]
    line: int
    size: int = 1


@dataclass(slots=True)
class Mapping:
    """Keys are strings, in the order written."""

    entries: dict[str, Node]
    line: int
    size: int = 1
    key_lines: dict[str, int] = field(default_factory=dict)


Node = Scalar | Sequence | Mapping


@dataclass(slots=True)
class Fault:
    """Something wrong in the text; an empty path means that the whole file cannot be read."""

    path: str
    message: str
    line: int


@dataclass(slots=True)
class _Open:
    """A collection whose end has not been read yet."""

    node: Sequence | Mapping
    path: str
    anchor: str | None
    key: str | None = None
    wants_key: bool = True
    broken_key: bool = False


def is_nothing(node: Scalar) -> bool:
    """Tell whether nothing was written: an empty value, or YAML's null."""
    return node.value == "" or (node.plain and node.value in {"~", "null"})


def child_path(path: str, key: str) -> str:
    """Return the path of a field: `$.key`, or `$['other key']` where the key is no plain word."""
    return f"{path}.{key}" if _WORD.fullmatch(key) else f"{path}[{key[:60]!a}]"


def parse(text: bytes | str) -> tuple[Node | None, list[Fault]]:
    """Return the document's tree (None if it is empty or unreadable) and what is wrong with it. Never raises."""
    if isinstance(text, bytes):
        if text.startswith((b"\xff\xfe", b"\xfe\xff")) or text[1:2] == b"\0":
            return None, [Fault("", "expected UTF-8, found UTF-16; save the file as UTF-8", 1)]
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            return None, [Fault("", f"expected UTF-8, found the byte 0x{error.object[error.start]:02x}", line)]
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return None, [Fault("", "expected text, found a lone surrogate", 0)]
    builder = _Builder()
    try:
        for event in _events(text):
            if not builder.feed(event):
                break
    except yaml.YAMLError as error:
        return None, [_syntax_fault(error)]
    if any(not fault.path for fault in builder.faults):
        return None, builder.faults
    return builder.root, builder.faults


def _events(text: str) -> Iterator[yaml.Event]:
    loader: Any = yaml.CBaseLoader if yaml.__with_libyaml__ else yaml.BaseLoader
    return yaml.parse(text, Loader=loader)


def _syntax_fault(error: yaml.YAMLError) -> Fault:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
    context = getattr(error, "context", None)
    message = f"expected YAML: {context + ', ' if context else ''}{problem}"
    began = getattr(error, "context_mark", None)
    if mark and began and began.line < mark.line:
        message += f" (it begins in line {began.line + 1})"
    hint = next((hint for words, hint in _SYNTAX_HINTS.items() if words in message), "")
    return Fault("", message + hint, mark.line + 1 if mark else 0)


class _Builder:
    def __init__(self) -> None:
        self.root: Node | None = None
        self.faults: list[Fault] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0
        self._aliases = 0

    def feed(self, event: yaml.Event) -> bool:
        """Add what one event tells; False ends the reading, the fault having been noted."""
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                return self._give_up("expected one document, found a second one; put all recipes into one list", line)
        elif isinstance(event, yaml.ScalarEvent):
            scalar = Scalar(event.value, line, plain=not event.style, style=event.style or "")
            self._add(scalar, event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(str(event.anchor), line)
        elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            if len(self._stack) >= MAX_DEPTH:
                return self._give_up(f"expected at most {MAX_DEPTH} levels of nesting, found more", line)
            node: Sequence | Mapping = (
                Sequence([], line) if isinstance(event, yaml.SequenceStartEvent) else Mapping({}, line)
            )
            self._stack.append(_Open(node, self._next_path(), event.anchor))
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            opened = self._stack.pop()
            self._add(opened.node, opened.anchor)
        return True

    def _give_up(self, message: str, line: int) -> bool:
        self.faults = [Fault("", message, line)]
        return False

    def _next_path(self) -> str:
        if not self._stack:
            return "$"
        top = self._stack[-1]
        if isinstance(top.node, Sequence):
            return f"{top.path}[{len(top.node.items)}]"
        return top.path if top.key is None else child_path(top.path, top.key)

    def _alias(self, name: str, line: int) -> None:
        self._aliases += 1
        target = self._anchors.get(name)
        if target is None:
            self.faults.append(Fault(self._next_path(), f"expected an anchor before its alias, found *{name}", line))
        elif self._aliases > MAX_ALIASES:
            message = f"expected at most {MAX_ALIASES} aliases in a recipe, found more; write the values out"
            self.faults.append(Fault(self._next_path(), message, line))
            target = None
        elif target.size > MAX_ALIASED_NODES:
            message = f"expected an alias of at most {MAX_ALIASED_NODES} values, found {target.size}"
            self.faults.append(Fault(self._next_path(), message, line))
            target = None
        self._add(Scalar("", line) if target is None else target, None)

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._stack:
            self.root = node
            return
        top = self._stack[-1]
        if isinstance(top.node, Sequence):
            top.node.items.append(node)
            if len(self._stack) == 1:
                self._aliases = 0
        elif top.wants_key:
            top.wants_key = False
            self._add_key(top, node)
            return
        else:
            top.wants_key = True
            if not top.broken_key and top.key is not None:
                top.node.entries[top.key] = node
            top.key = None
        top.node.size += node.size

    def _add_key(self, top: _Open, node: Node) -> None:
        mapping = cast("Mapping", top.node)
        top.broken_key = True
        if not isinstance(node, Scalar):
            self.faults.append(Fault(top.path, "expected a word as key, found a collection", node.line))
            return
        top.key = node.value
        if node.value in mapping.key_lines:
            first = mapping.key_lines[node.value]
            message = f"expected each key once, found it again (first in line {first}); remove one"
            self.faults.append(Fault(child_path(top.path, node.value), message, node.line))
            return
        top.broken_key = False
        mapping.key_lines[node.value] = node.line
