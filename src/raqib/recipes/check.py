"""One recipe's node becomes a `RecipeSpec`, or diagnostics that say why not."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar, cast

from raqib.model.quantity import parse_duration, parse_size
from raqib.model.recipe import IMPORTANCES, Importance, Limits, Mode, Reaction, ReactionFormat, RecipeInfo
from raqib.recipes.attack import resolve
from raqib.recipes.check_arbitrary import check_groups, check_times
from raqib.recipes.check_files import FILE_FIELDS, check_file_part
from raqib.recipes.check_network import NETWORK_FIELDS, check_network_part
from raqib.recipes.check_tests import check_tests
from raqib.recipes.diagnostic import Diagnostic, shown
from raqib.recipes.document import Mapping, Node, Scalar
from raqib.recipes.lists import Lists
from raqib.recipes.reader import At, Reader
from raqib.recipes.spec import Breed, Mechanism, RecipeSpec

Quantity = TypeVar("Quantity", int, float)

REQUIRED_FIELDS = ("kind", "name", "mechanism", "breed", "importance")
_EXPECTED = ("version", "description", "tactic", "technique")
_OTHER = ("subtechnique", "documentation", "enabled", "times", "arbitrary", "reactions", "mode", "limits", "tests")
_FIELDS = (*REQUIRED_FIELDS, *_EXPECTED, *_OTHER, *FILE_FIELDS, *NETWORK_FIELDS)
_FIELD_SLIPS = {
    "severity": "it is called importance",
    "priority": "it is called importance",
    "actions": "it is called file_actions, or flow_actions",
    "files": "it is called bases",
    "reaction": "it is called reactions",
    "pattern": "the expression of a file pattern is called regex",
    "sub_technique": "it is called subtechnique",
}
_MECHANISMS: tuple[Mechanism, ...] = ("file_access", "execution", "network_peers", "env_vars")
_BREEDS: dict[str, Breed] = {
    "file_access": "file_access",
    "execution": "execution",
    "env_vars": "env_vars",
    "remote_domains": "remote_domains",
    "remote_cidrs": "remote_cidrs",
    "remote_ips": "remote_cidrs",
    "local_domains": "local_domains",
    "local_cidrs": "local_cidrs",
    "local_ips": "local_cidrs",
}
_MODES: tuple[Mode, ...] = ("off", "shadow", "alert", "dry_react", "react")
_FORMATS: tuple[ReactionFormat, ...] = ("js", "shell")
_FORMAT_SLIPS = {"javascript": "it is called js", "bash": "it is called shell", "sh": "it is called shell"}
_NONE = frozenset({"none", "example", ""})
_MOST_TIMEOUT_S = 3600
_MOST_HEAP_MIB = 65536
_NAME = re.compile(r"[^\s\x00-\x1f\x7f/]{1,128}")


def name_of(node: Node) -> str:
    """Return a recipe's name for messages; empty if it has none."""
    name = node.entries.get("name") if isinstance(node, Mapping) else None
    return name.value if isinstance(name, Scalar) and _NAME.fullmatch(name.value) else ""


def check_recipe(
    node: Node, path: str, source: str, builtin: bool, lists: Lists
) -> tuple[RecipeSpec | None, list[Diagnostic]]:
    """Return the checked recipe, or None if an error was found; and all that there is to say."""
    reader = Reader(source, name_of(node))
    at = At(node, path)
    fields = reader.fields(at, _FIELDS, _FIELD_SLIPS)
    for name in REQUIRED_FIELDS:
        if name not in fields and isinstance(node, Mapping):
            reader.error(at, f"expected {name}, found none")
    for name in _EXPECTED:
        if name not in fields and isinstance(node, Mapping):
            reader.warning(at, f"expected {name}, found none")
    name = reader.text(fields.get("name")) or ""
    if name and not _NAME.fullmatch(name):
        reader.error(fields["name"], f"expected a name without blanks and slashes, found {shown(name)}")
    mechanism = reader.choice(fields.get("mechanism"), _MECHANISMS) or "file_access"
    breed_word = reader.choice(fields.get("breed"), _BREEDS)
    breed = _BREEDS[breed_word or "file_access"]
    networked = mechanism == "network_peers"
    if breed_word is not None and "mechanism" in fields and networked != breed.endswith(("domains", "cidrs")):
        reader.error(fields["breed"], f"expected a breed that fits mechanism {mechanism}, found {breed_word}")
    for name_ in FILE_FIELDS if networked else NETWORK_FIELDS:
        if name_ in fields:
            reader.error(fields[name_], f"expected no {name_} beside mechanism {mechanism}")
    groups = check_groups(reader, fields.get("arbitrary"))
    network = None
    if networked and not reader.failed:
        network = check_network_part(reader, fields, breed, groups, at, lists)
    spec = RecipeSpec(
        info=_info(reader, fields, name, mechanism, builtin),
        mechanism=mechanism,
        breed=breed,
        enabled=reader.boolean(fields.get("enabled"), True),
        file=None if networked else check_file_part(reader, fields, at),
        network=network,
        groups=groups,
        times=check_times(reader, fields.get("times")),
        tests=check_tests(reader, fields.get("tests")),
    )
    return (None if reader.failed else spec), reader.diagnostics


def _info(reader: Reader, fields: dict[str, At], name: str, mechanism: Mechanism, builtin: bool) -> RecipeInfo:
    texts = {key: reader.text(fields.get(key)) or "" for key in ("kind", "version", "description", "documentation")}
    named = {key: _meaning(reader.text(fields.get(key))) for key in ("tactic", "technique", "subtechnique")}
    attack = resolve(named["tactic"], named["technique"], named["subtechnique"])
    for key, message in attack.problems.items():
        reader.warning(fields[key], message)
    return RecipeInfo(
        kind=texts["kind"],
        name=name,
        mechanism=mechanism,
        importance=cast("Importance | None", reader.choice(fields.get("importance"), IMPORTANCES)) or "none",
        version=texts["version"].strip(),
        description=texts["description"].strip(),
        documentation=_meaning(texts["documentation"]),
        **named,
        tactic_id=attack.tactic_id,
        technique_id=attack.technique_id,
        subtechnique_id=attack.subtechnique_id,
        mode=reader.choice(fields.get("mode"), _MODES) or ("alert" if builtin else "react"),
        limits=_limits(reader, fields.get("limits")),
        reactions=_reactions(reader, fields.get("reactions")),
        builtin=builtin,
        source=reader.source,
    )


def _meaning(text: str | None) -> str:
    stripped = (text or "").strip()
    return "" if stripped.lower() in _NONE else stripped


def _reactions(reader: Reader, at: At | None) -> tuple[Reaction, ...]:
    result = []
    for entry in reader.entries(at):
        fields = reader.fields(entry, ("format", "code"), {"language": "it is called format"})
        for name in ("format", "code"):
            if name not in fields:
                reader.error(entry, f"expected {name}, found none")
        form = reader.choice(fields.get("format"), _FORMATS, _FORMAT_SLIPS)
        code = reader.text(fields.get("code"))
        if code is not None and not code.strip():
            reader.error(fields["code"], "expected code, found only blanks")
        if form is not None and code is not None:
            result.append(Reaction(form, code))
    return tuple(result)


def _limits(reader: Reader, at: At | None) -> Limits:
    if at is None:
        return Limits()
    fields = reader.fields(at, Limits.__struct_fields__)
    timeout_at, heap_at = fields.get("timeout_s"), fields.get("heap_mib")
    timeout = heap = None
    if timeout_at is not None and (text := reader.text(timeout_at, "a duration")) is not None:
        timeout = _quantity(reader, timeout_at, parse_duration, text)
        if timeout is not None and not 0 < timeout <= _MOST_TIMEOUT_S:
            reader.error(timeout_at, f"expected more than 0 and at most 1h, found {shown(text)}")
    if heap_at is not None and (text := reader.text(heap_at, "a size")) is not None:
        # A number alone means MiB, as the name says.
        size = _quantity(reader, heap_at, parse_size, f"{text.strip()}MiB" if text.strip().isdecimal() else text)
        heap, rest = (None, 0) if size is None else divmod(size, 1 << 20)
        if rest or (heap is not None and not 1 <= heap <= _MOST_HEAP_MIB):
            reader.error(heap_at, f"expected whole MiB, at least 1 and at most {_MOST_HEAP_MIB}, found {shown(text)}")
    return Limits(
        timeout_s=timeout,
        heap_mib=heap,
        kills_per_minute=reader.integer(fields.get("kills_per_minute"), 0, 10**6),
        blocks_per_minute=reader.integer(fields.get("blocks_per_minute"), 0, 10**6),
    )


def _quantity(reader: Reader, at: At, parse: Callable[[str], Quantity], text: str) -> Quantity | None:
    try:
        return parse(text)
    except ValueError as error:
        reader.error(at, str(error))
        return None
