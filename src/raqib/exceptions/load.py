"""Reading exceptions from text and files. Never raises for what it reads; a file is taken as a whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from raqib.exceptions.rule import ExceptionRule, Rules
from raqib.library.reading import unsafe_owner
from raqib.recipes.check_arbitrary import check_item
from raqib.recipes.diagnostic import Diagnostic, nearest, shown, source_of
from raqib.recipes.document import Mapping, Node, Scalar, Sequence, is_nothing, parse
from raqib.recipes.reader import At, Reader, kind_of
from raqib.recipes.source import BadSourceError, read_source
from raqib.recipes.spec import Item

MAX_FILE_BYTES: Final = 8 << 20
_KEYS = ("name", "kind", "tactic", "technique", "importance")
_FIELDS = ("recipe", "when", "reason", "until")
_SLIPS = {
    "name": "the recipe is named by recipe: NAME",
    "kind": "write recipe: kind:NAME",
    "tactic": "write recipe: tactic:NAME",
    "arbitrary": "the items stand directly below when",
    "items": "the items stand directly below when",
    "expires": "it is called until",
    "description": "it is called reason",
}


def looks_like_exceptions(root: Node | None) -> bool:
    """Tell whether a document is a list of exceptions, not of recipes: its entries have `recipe`, or no `mechanism`."""
    if not isinstance(root, Sequence) or not root.items:
        return False
    return all(
        isinstance(item, Mapping)
        and bool(item.entries.keys() & {"recipe", "when", "reason", "until"})
        and not item.entries.keys() & {"mechanism", "breed", "reactions"}
        for item in root.items
    )


def load_file(path: Path, *, allow_unsafe_owner: bool) -> Rules:
    """Load one file. What others than root can write quiets nothing."""
    source = source_of(path)
    try:
        problem = None if allow_unsafe_owner else unsafe_owner(path)
        text = b"" if problem else read_source(path, MAX_FILE_BYTES)
    except BadSourceError as error:
        problem = str(error)
    except OSError as error:
        problem = f"expected a readable file: {error.strerror or error}"
    if problem is not None:
        return Rules((), (Diagnostic("error", source, "", "", problem),))
    return load_text(text, source)


def load_text(text: bytes | str, source: str) -> Rules:
    """Load a list of exceptions; with an error in one there are none at all."""
    root, faults = parse(text)
    said = [Diagnostic("error", source, "", fault.path, fault.message, fault.line) for fault in faults]
    if root is None or (isinstance(root, Scalar) and is_nothing(root)):
        return Rules((), tuple(said))
    if not isinstance(root, Sequence):
        message = f"expected a list of exceptions, found {kind_of(root)}; begin each with a dash"
        return Rules((), (*said, Diagnostic("error", source, "", "$", message, root.line)))
    rules = []
    for index, node in enumerate(root.items):
        reader = Reader(source, _recipe_of(node))
        rule = _rule(reader, At(node, f"$[{index}]"))
        said += reader.diagnostics
        if rule is not None and not reader.failed:
            rules.append(rule)
    failed = any(item.severity == "error" for item in said)
    return Rules(() if failed else tuple(rules), tuple(said))


def _recipe_of(node: Node) -> str:
    found = node.entries.get("recipe") if isinstance(node, Mapping) else None
    return found.value if isinstance(found, Scalar) else ""


def _rule(reader: Reader, at: At) -> ExceptionRule | None:
    fields = reader.fields(at, _FIELDS, _SLIPS)
    recipe = reader.text(fields.get("recipe"), "the name of a recipe, or a pattern")
    if "recipe" not in fields:
        reader.error(at, "expected recipe: a name or pattern, or kind:… or tactic:…, found none")
    elif recipe is not None:
        _check_selector(reader, fields["recipe"], recipe)
    reason = reader.text(fields.get("reason"))
    if "reason" not in fields or (reason is not None and not reason.strip()):
        reader.error(at, "expected reason: why this is normal here, found none")
    items = tuple(_items(reader, fields.get("when")))
    until_s = _until(reader, fields.get("until"))
    until = reader.text(fields.get("until")) or ""
    if recipe is None or reason is None:
        return None
    return ExceptionRule(recipe, items, reason.strip(), until, until_s, reader.source, at.node.line)


def _check_selector(reader: Reader, at: At, recipe: str) -> None:
    key, colon, pattern = recipe.partition(":")
    if colon and key not in _KEYS:
        hint = nearest(key, _KEYS) or f"; before a colon stands one of {', '.join(_KEYS)}"
        reader.error(at, f"expected a name, a pattern, or kind:… or tactic:…, found {shown(recipe)}{hint}")
    elif colon and not pattern:
        reader.error(at, f"expected a pattern after the colon, found {shown(recipe)}")


def _items(reader: Reader, at: At | None) -> Iterator[Item]:
    if at is not None and isinstance(at.node, Scalar):
        reader.error(at, "expected a list of items as {what: unit, pattern: ^ci\\.service$}, found a string")
        return
    for entry in reader.entries(at):
        item = check_item(reader, entry, "pertinent")
        if item is not None:
            yield item


def _until(reader: Reader, at: At | None) -> float | None:
    """Return the moment: a date ends with its day, in UTC."""
    text = reader.text(at)
    if at is None or text is None:
        return None
    written = text.strip()
    try:
        if len(written) == len("2027-01-31"):
            day = date.fromisoformat(written)
            return (datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)).timestamp()
        moment = datetime.fromisoformat(written)
        if moment.tzinfo is not None:
            return moment.timestamp()
    except (ValueError, OverflowError):
        pass
    reader.error(at, f"expected a date as 2027-01-31 or a time as 2027-01-31T18:00:00Z, found {shown(text)}")
    return None
