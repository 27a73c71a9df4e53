"""Checks a call's arguments against the helper's declaration. The caller is never trusted."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import msgspec

from raqib.actions.declare import Argument, Arguments, Failed, Helper

LARGEST_SAFE_INTEGER = 2**53 - 1
"""Beyond it a JavaScript number is no longer exact."""

MAX_LENGTH = 4096
"""Of strings that are not contents, in characters: the ledger carries them whole."""

_DECODER = msgspec.json.Decoder(list[Any])
_NAMES = {str: "a string", bool: "a boolean", list: "an array", dict: "an object", type(None): "nothing (null)"}


def decode_arguments(helper: Helper, text: str) -> Arguments | Failed:
    """Return the arguments of a call, or what is wrong with them. `text` is a JSON array."""
    try:
        values = _DECODER.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return Failed(f"{helper.name}: expected arguments that are valid text, got something else")
    if not helper.required <= len(values) <= len(helper.arguments):
        return Failed(f"{helper.name}: expected {_count(helper)}, got {len(values)}")
    checked = []
    for argument, value in zip(helper.accepted(len(values)), values, strict=True):
        result = _check(argument, value)
        if isinstance(result, Failed):
            return Failed(f"{helper.name}: {result.reason}")
        checked.append(result[0])
    return tuple(checked)


def describe_arguments(helper: Helper, arguments: Arguments) -> dict[str, Any]:
    """Return the arguments as the ledger shows them: contents as size and hash."""
    described: dict[str, Any] = {}
    for argument, value in zip(helper.accepted(len(arguments)), arguments, strict=True):
        if argument.content:
            described[argument.name] = size_and_hash(value)
        else:
            described[argument.name] = value
    return described


def size_and_hash(value: Any) -> dict[str, Any]:
    """Return what the ledger shows in place of contents."""
    raw = value.encode() if isinstance(value, str) else msgspec.json.encode(value)
    return {"size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}


def _count(helper: Helper) -> str:
    most = len(helper.arguments)
    number = str(most) if helper.required == most else f"{helper.required} to {most}"
    return f"{number} argument{'' if number == '1' else 's'}" if most else "no arguments"


def _check(argument: Argument, value: Any) -> tuple[Any] | Failed:
    """Return the value in a tuple, in the type that the action wants."""
    match argument.kind:
        case "string" if isinstance(value, str):
            if not value and not argument.may_be_empty:
                return Failed(f"{argument.name}: expected a string that is not empty")
            if len(value) > MAX_LENGTH and not argument.content:
                return Failed(f"{argument.name}: expected at most {MAX_LENGTH} characters, got {len(value)}")
            if "\0" in value and not argument.content:
                return Failed(f"{argument.name}: expected a string without NUL characters")
            return (value,)
        case "integer" if isinstance(value, int | float) and not isinstance(value, bool):
            if math.isfinite(value) and value == int(value) and abs(value) <= LARGEST_SAFE_INTEGER:
                return (int(value),)
        case "number" if isinstance(value, int | float) and not isinstance(value, bool):
            if isinstance(value, float) and not math.isfinite(value):
                return Failed(f"{argument.name}: expected a finite number")
            return (value,)
        case "object" if isinstance(value, dict):
            return (value,)
    article = "an" if argument.kind[0] in "aeiou" else "a"
    return Failed(f"{argument.name}: expected {article} {argument.kind}, got {_name(value)}")


def _name(value: Any) -> str:
    return _NAMES.get(type(value)) or f"{value:.17g}"
