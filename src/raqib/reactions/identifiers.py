"""Which names of a reaction's JavaScript nothing defines: found by scopes in its syntax tree, not in its text.

The code is known to be accepted by V8. Where the tree says otherwise, or code is made at run time (`eval`, `with`),
nothing is said: a warning must be right.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Final, NamedTuple

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

from raqib.actions.helpers.table import HELPERS

MAX_BYTES: Final = 256 << 10
"""Of code that is looked at."""
_MOST: Final = 20
"""Names told of one reaction."""

STANDARD: Final = frozenset(
    """AggregateError Array ArrayBuffer AsyncDisposableStack Atomics BigInt BigInt64Array BigUint64Array Boolean
    DataView Date DisposableStack Error EvalError FinalizationRegistry Float16Array Float32Array Float64Array Function
    Infinity Int16Array Int32Array Int8Array Intl Iterator JSON Map Math NaN Number Object Promise Proxy RangeError
    ReferenceError Reflect RegExp Set SharedArrayBuffer String SuppressedError Symbol SyntaxError Temporal TypeError
    URIError Uint16Array Uint32Array Uint8Array Uint8ClampedArray WeakMap WeakRef WeakSet decodeURI decodeURIComponent
    encodeURI encodeURIComponent escape eval globalThis isFinite isNaN parseFloat parseInt undefined
    unescape""".split()  # noqa: SIM905  # so many words are better read without quotes
)
GLOBALS: Final = STANDARD | HELPERS.keys() | {"Info", "Warn", "Errno", "console", "kind", "name", "uuid", "data"}
"""All that a reaction finds; helpers, then what belongs to its event."""

ACTING: Final = frozenset(name for name, helper in HELPERS.items() if helper.budget) | {"PowerOff", "Panic"}
_ELSEWHERE: Final = {
    **dict.fromkeys(
        ("require", "module", "exports", "Buffer"), "reactions have no modules: only ECMAScript and the helpers"
    ),
    **dict.fromkeys(
        ("fetch", "XMLHttpRequest", "WebSocket", "EventSource"), "reactions have no network: only the helpers act"
    ),
    **dict.fromkeys(
        ("setTimeout", "setInterval", "setImmediate", "clearTimeout", "clearInterval", "queueMicrotask"),
        "reactions have no timers: a helper returns once the action has been done",
    ),
    **dict.fromkeys(("window", "document", "self", "global"), "the global object is called globalThis"),
    **dict.fromkeys(("alert", "print", "log"), "write Info(…) or console.log(…)"),
}
_FUNCTIONS: Final = frozenset(
    {
        "function_declaration", "generator_function_declaration", "function_expression", "generator_function",
        "arrow_function", "method_definition", "class_static_block",
    }
)  # fmt: skip
_BLOCKS: Final = frozenset(
    {
        "statement_block", "for_statement", "for_in_statement", "switch_body", "catch_clause", "class",
        "class_declaration",
    }
)  # fmt: skip
_NAMED: Final = frozenset({"function_declaration", "generator_function_declaration", "class_declaration"})
_DECLARATIONS: Final = frozenset({"lexical_declaration", "using_declaration"})
_ESCAPE: Final = re.compile(r"\\u(?:\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{4}))")


class NameProblem(NamedTuple):
    """A warning, and where in the code: line and column are counted from 1."""

    message: str
    line: int
    column: int


@dataclass(slots=True)
class _Scope:
    above: _Scope | None
    dynamic: bool = False
    """Whether names may come from an object (`with`)."""
    names: set[str] = field(default_factory=set)

    def knows(self, name: str) -> bool:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.names or scope.dynamic:
                return True
            scope = scope.above
        return False


class _Analysis:
    def __init__(self) -> None:
        self.assigned: set[str] = set()
        """Names that assignments make global, or that the code itself asks after with `typeof`."""
        self.open: dict[str, Node] = {}
        """Names that no scope knows, with their first place."""
        self.runs_text = False

    def walk(self, node: Node, scope: _Scope) -> None:
        kind = node.type
        self._note(node, kind)
        if kind in _FUNCTIONS:
            scope = self._function(node, scope)
        elif kind in _BLOCKS:
            scope = _Scope(scope, names=set(_block_names(node)))
        elif kind == "with_statement":
            scope = _Scope(scope, dynamic=True)
        elif kind in ("identifier", "shorthand_property_identifier", "shorthand_property_identifier_pattern"):
            self._use(node, scope)
        for child in node.named_children:
            self.walk(child, scope)

    def _function(self, node: Node, scope: _Scope) -> _Scope:
        inner = _Scope(scope)
        if node.type != "arrow_function":
            inner.names.add("arguments")
        own = node.child_by_field_name("name")
        if node.type in ("function_expression", "generator_function") and own is not None:
            inner.names.add(_text(own))
        for part in (node.child_by_field_name("parameters"), node.child_by_field_name("parameter")):
            if part is not None:
                inner.names.update(_bound(part))
        body = node.child_by_field_name("body")
        if body is not None:
            inner.names.update(_hoisted(body))
        return inner

    def _note(self, node: Node, kind: str) -> None:
        left = node.child_by_field_name("left")
        if kind == "unary_expression" and node.children[0].type == "typeof":
            argument = node.child_by_field_name("argument")
            if argument is not None and argument.type == "identifier":
                self.assigned.add(_text(argument))
        elif kind in ("assignment_expression", "for_in_statement") and left is not None:
            if node.child_by_field_name("kind") is not None:
                return
            if left.type != "member_expression":
                self.assigned.update(_bound(left))
            elif (owner := left.child_by_field_name("object")) is not None and _text(owner) in ("globalThis", "this"):
                self.assigned.update(_text(child) for child in left.children if child.type == "property_identifier")

    def _use(self, node: Node, scope: _Scope) -> None:
        name = _text(node)
        if scope.knows(name):
            return
        if name in ("eval", "Function"):
            self.runs_text = True
        self.open.setdefault(name, node)


def unknown_names(code: str) -> list[NameProblem]:
    """Return a warning for each name that nothing defines, in the order of their first places; never raises."""
    analysed = _analyse(code)
    if analysed is None or analysed[0].runs_text:
        return []
    found, top = analysed
    lines = code.split("\n")
    own = top.names | found.assigned
    return [
        NameProblem(_unknown(name, own), *_place(node, lines))
        for name, node in found.open.items()
        if name not in GLOBALS and name not in found.assigned
    ][:_MOST]


def acting_helpers(code: str) -> list[str]:
    """Return the helpers that kill, block or worse and that the code mentions, in the order of their first places."""
    analysed = _analyse(code)
    return [] if analysed is None else [name for name in analysed[0].open if name in ACTING]


def _analyse(code: str) -> tuple[_Analysis, _Scope] | None:
    """Return what was found, and the outermost scope; None if the code cannot be looked at."""
    root = _tree(code)
    if root is None:
        return None
    found = _Analysis()
    try:
        top = _Scope(None, names={*_hoisted(root), *_block_names(root)})
        found.walk(root, top)
    except RecursionError:
        return None
    return found, top


def async_process(code: str) -> NameProblem | None:
    """Return a warning if the code's `process` is an async function, else None; never raises."""
    root = _tree(code)
    for node in () if root is None else root.named_children:
        for own, function in _definitions(node):
            if _text(own) == "process" and any(child.type == "async" for child in function.children):
                message = (
                    "expected a plain function process, found an async one: nothing waits for its promise; it runs for "
                    "as long as there are microtasks, and ends in silence where it awaits what never comes; helpers "
                    "need no await"
                )
                return NameProblem(message, *_place(own, code.split("\n")))
    return None


def _definitions(node: Node) -> Iterator[tuple[Node, Node]]:
    """Yield the functions that a statement defines, each after its name."""
    if node.type in _NAMED and (name := node.child_by_field_name("name")) is not None:
        yield name, node
    for declarator in node.named_children if node.type in ("variable_declaration", "lexical_declaration") else ():
        name, value = declarator.child_by_field_name("name"), declarator.child_by_field_name("value")
        if name is not None and value is not None and value.type in _FUNCTIONS:
            yield name, value


def _tree(code: str) -> Node | None:
    text = code.encode("utf-8", "surrogatepass")
    if len(text) > MAX_BYTES:
        return None
    root = _parser().parse(text).root_node
    return None if root.has_error else root


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_javascript.language()))


def _text(node: Node) -> str:
    text = (node.text or b"").decode("utf-8", "surrogatepass")
    return _ESCAPE.sub(lambda found: chr(min(int(found[1] or found[2], 16), 0x10FFFF)), text)


def _bound(pattern: Node) -> Iterator[str]:
    """Yield the names that a pattern, or a list of parameters, binds."""
    match pattern.type:
        case "identifier" | "shorthand_property_identifier_pattern":
            yield _text(pattern)
        case "assignment_pattern" | "object_assignment_pattern":
            left = pattern.child_by_field_name("left")
            yield from () if left is None else _bound(left)
        case "pair_pattern":
            value = pattern.child_by_field_name("value")
            yield from () if value is None else _bound(value)
        case "object_pattern" | "array_pattern" | "rest_pattern" | "formal_parameters" | "parenthesized_expression":
            for child in pattern.named_children:
                yield from _bound(child)


def _declared(declaration: Node) -> Iterator[str]:
    for declarator in declaration.named_children:
        name = declarator.child_by_field_name("name") if declarator.type == "variable_declarator" else None
        yield from () if name is None else _bound(name)


def _hoisted(body: Node) -> Iterator[str]:
    """Yield what `var` and functions declare in a function, however deep in its blocks."""
    waiting = [] if body.type in _FUNCTIONS else [body]
    while waiting:
        node = waiting.pop()
        if node.type == "variable_declaration":
            yield from _declared(node)
        elif node.type == "for_in_statement" and any(child.type == "var" for child in node.children):
            left = node.child_by_field_name("left")
            yield from () if left is None else _bound(left)
        for child in node.named_children:
            if child.type not in _FUNCTIONS:
                waiting.append(child)
            elif child.type in _NAMED and (name := child.child_by_field_name("name")) is not None:
                yield _text(name)


def _block_names(block: Node) -> Iterator[str]:
    """Yield what belongs to a block: `let`, `const`, classes, functions, and what its head binds."""
    if block.type in ("class", "class_declaration"):
        name = block.child_by_field_name("name")
        yield from () if name is None else [_text(name)]
        return
    if block.type == "catch_clause" and (parameter := block.child_by_field_name("parameter")) is not None:
        yield from _bound(parameter)
    if block.type == "for_in_statement" and any(child.type in ("let", "const", "using") for child in block.children):
        left = block.child_by_field_name("left")
        yield from () if left is None else _bound(left)
    for child in block.named_children:
        inside: Iterable[Node] = child.named_children if child.type in ("switch_case", "switch_default") else [child]
        for statement in inside:
            if statement.type in _DECLARATIONS:
                yield from _declared(statement)
            elif statement.type in _NAMED and (name := statement.child_by_field_name("name")) is not None:
                yield _text(name)


def _place(node: Node, lines: list[str]) -> tuple[int, int]:
    """Return line and column, from 1, as the engine counts them: a character beyond the first 65,536 is two."""
    row, column = node.start_point
    before = lines[row].encode("utf-8", "surrogatepass")[:column].decode("utf-8", "surrogatepass")
    return row + 1, len(before.encode("utf-16-le", "surrogatepass")) // 2 + 1


def _unknown(name: str, own: Iterable[str]) -> str:
    said = f"expected a name that is defined, found {ascii(name[:60])[1:-1]}"
    if name in _ELSEWHERE:
        return f"{said}; {_ELSEWHERE[name]}"
    known = {name.lower(): name for name in (*own, *GLOBALS)}
    near = difflib.get_close_matches(name[:60].lower(), known, n=1, cutoff=0.75)
    return f"{said}; did you mean {known[near[0]]}?" if near else said
