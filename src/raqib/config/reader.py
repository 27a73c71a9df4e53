"""Settings out of a YAML tree, field by field: all that is wrong is told at once, each fault with its line.

What a field may hold is read off the types of its section; its name says what a number means: `_s` a duration, `_bytes`
and `_mib` a size.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

from raqib.model.quantity import format_size, parse_duration, parse_size
from raqib.recipes.diagnostic import Diagnostic, nearest, shown, shown_path
from raqib.recipes.document import Mapping, Scalar, Sequence, child_path
from raqib.recipes.reader import At, Reader, is_empty, kind_of

Section = TypeVar("Section", bound=msgspec.Struct)

_NO_PATH: Final = re.compile(r"[+-]?[0-9.]*|true|false|yes|no|on|off", re.IGNORECASE)
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}")
_MIB: Final = 1 << 20


def read_settings(
    root: At, kind: type[Section], source: str, beside: tuple[str, ...] = ()
) -> tuple[Section | None, list[Diagnostic]]:
    """Return a section with its defaults, None if there is an error; and all that there is to say.

    `beside` are keys of the top level that others read.
    """
    reader = Reader(source, "")
    section = _struct(reader, root, inspect.type_info(kind), beside)
    return (None if reader.failed else section), reader.diagnostics


def _struct(reader: Reader, at: At, kind: inspect.Type, beside: tuple[str, ...] = ()) -> Any:
    if not isinstance(kind, inspect.StructType):
        raise TypeError(f"expected a struct, found {kind}")
    known = {field.encode_name: field for field in kind.fields}
    fields = reader.fields(at, (*known, *beside))
    read = {name: _value(reader, fields[name], known[name].type, name) for name in known if name in fields}
    # Where there is an error, the section is made of what is good, only so that reading can go on.
    return kind.cls(**{name: value for name, value in read.items() if value is not None})


def _value(reader: Reader, at: At, kind: inspect.Type, name: str) -> Any:
    """Return what a field holds, or None if it is wrong."""
    match kind:
        case inspect.UnionType():
            return _value(
                reader, at, next(member for member in kind.types if not isinstance(member, inspect.NoneType)), name
            )
        case inspect.StructType():
            return _struct(reader, at, kind)
        case inspect.VarTupleType():
            found = [_value(reader, entry, kind.item_type, name) for entry in reader.entries(at)]
            return None if None in found else tuple(found)
        case inspect.DictType():
            return _table(reader, at, kind, name)
        case inspect.BoolType():
            return reader.boolean(at, False)
        case inspect.LiteralType():
            return _choice(reader, at, tuple(map(str, kind.values)))
        case inspect.IntType() | inspect.FloatType():
            return _number(reader, at, kind, name)
        case inspect.CustomType(cls) if cls is Path:
            return _path(reader, at)
        case inspect.StrType():
            return reader.text(at)
    raise TypeError(f"expected a type that a setting can have, found {kind}")


def _table(reader: Reader, at: At, kind: inspect.DictType, name: str) -> dict[str, Any] | None:
    if not isinstance(at.node, Mapping):
        reader.error(at, f"expected a mapping, found {kind_of(at.node)}")
        return None
    return {
        key: _value(reader, At(value, child_path(at.path, key)), kind.value_type, name)
        for key, value in at.node.entries.items()
        if not is_empty(value)
    }


def _choice(reader: Reader, at: At, choices: tuple[str, ...]) -> str | None:
    text = reader.text(at)
    if text is None:
        return None
    folded = {choice.lower(): choice for choice in choices}
    found = folded.get(text.strip().lower())
    if found is None:
        near = nearest(text.strip(), folded)
        hint = "".join(f"; did you mean {folded[word]}?" for word in folded if near == f"; did you mean {word}?")
        reader.error(at, f"expected {' or '.join(choices)}, found {shown(text)}{hint}")
    return found


def _number(reader: Reader, at: At, kind: inspect.IntType | inspect.FloatType, name: str) -> float | int | None:
    text = reader.text(at, "a number")
    if text is None:
        return None
    try:
        value = _read_number(text.strip(), kind, name)
    except ValueError as error:
        reader.error(at, str(error))
        return None
    least, above = kind.ge, kind.gt
    if (least is not None and value < least) or (above is not None and value <= above):
        bound = f"at least {_said(least, name)}" if least is not None else f"more than {above:g}"
        reader.error(at, f"expected {bound}, found {shown(text)}")
        return None
    return value


def _read_number(text: str, kind: inspect.IntType | inspect.FloatType, name: str) -> float | int:
    if name.endswith("_s"):
        return parse_duration(text)
    if name.endswith("_bytes"):
        return parse_size(text)
    if name.endswith("_mib") and not _WHOLE.fullmatch(text):
        size = parse_size(text)
        if size % _MIB:
            raise ValueError(f"expected whole MiB, found {shown(text)}")
        return size // _MIB
    if isinstance(kind, inspect.IntType):
        if not _WHOLE.fullmatch(text):
            raise ValueError(f"expected a whole number, found {shown(text)}")
        return int(text)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"expected a number, found {shown(text)}") from None


def _said(bound: float, name: str) -> str:
    return format_size(int(bound)) if name.endswith("_bytes") else f"{bound:g}"


def _path(reader: Reader, at: At) -> Path | None:
    text = reader.text(at, "a path")
    if text is None:
        return None
    plain = isinstance(at.node, Scalar) and at.node.plain
    if (plain and _NO_PATH.fullmatch(text.strip())) or "\0" in text:
        reader.error(at, f"expected a path, found {shown(text)}")
        return None
    try:
        return Path(text).expanduser()
    except RuntimeError:
        reader.error(at, f"expected a path, found {shown_path(text)}: there is no such user")
        return None


def at_of(root: At, path: str) -> At | None:
    """Return the node that a path such as `network.policy` or `recipes.enable[2]` leads to; None if there is none."""
    found = root
    for key, index in re.findall(r"([^.\[\]]+)|\[([0-9]+)\]", path):
        node = found.node
        if key and isinstance(node, Mapping) and key in node.entries:
            found = At(node.entries[key], child_path(found.path, key))
        elif index and isinstance(node, Sequence) and int(index) < len(node.items):
            found = At(node.items[int(index)], f"{found.path}[{index}]")
        elif not (index and int(index) == 0 and isinstance(node, Scalar)):
            return None
    return found
