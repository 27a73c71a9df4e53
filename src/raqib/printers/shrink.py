"""Makes JSON values smaller until they fit, and counts what was left out.

What is small stays as it is; what is large shares the room that is left in equal parts. Texts lose their end, lists
their last entries, so that nothing a program can fill pushes out what stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from raqib.model.compact import Cut
from raqib.printers.escape import json_line

GONE: Final = object()
"""Stands for a value for which there was no room."""

_LEAST_ENTRY = 64
"""An entry that cannot have so many bytes is left out, rather than made smaller."""
_DEEPEST = 32
_CUT_BYTES = 2048
_OPEN = ("fields", "scenarios", "container", "containers")
"""Members whose own members anybody may name: nothing is told of those."""

_ENCODER = msgspec.json.Encoder()
_Key = TypeVar("_Key")


def printed(value: Any) -> bytes:
    """Return a value as JSON, as it is printed."""
    return json_line(_ENCODER.encode(value))


class LeftOut:
    """What was left out, by field."""

    def __init__(self) -> None:
        self._left_out: dict[tuple[str, str], int] = {}

    def add(self, path: Sequence[str], left_out: int, unit: str) -> None:
        """Note what was left out of a field."""
        closed = next((number for number, name in enumerate(path) if name in _OPEN), len(path))
        key = ".".join(filter(None, path[: closed + 1])), unit
        self._left_out[key] = self._left_out.get(key, 0) + left_out

    def cuts(self) -> list[Cut]:
        """Return all of it, in at most `CUT_ROOM` bytes."""
        found = [Cut(field=field, left_out=number, unit=unit) for (field, unit), number in self._left_out.items()]  # type: ignore[arg-type]
        while len(printed(found)) > _CUT_BYTES:
            *found, _, last = found
            found.append(Cut(field="*", left_out=last.left_out + 1 if last.field == "*" else 2, unit="entries"))
        return found


CUT_ROOM: Final = _CUT_BYTES + len(b',"cut":')


def shrink(value: Any, room: int, path: tuple[str, ...], left_out: LeftOut) -> Any:
    """Return a plain value in at most `room` bytes of JSON, or GONE."""
    if len(printed(value)) <= room:
        return value
    if isinstance(value, str):
        return _shrink_text(value, room, path, left_out)
    if isinstance(value, dict) and len(path) < _DEEPEST:
        return _shrink_object(value, room, path, left_out)
    if isinstance(value, list) and len(path) < _DEEPEST:
        return _shrink_list(value, room, path, left_out)
    left_out.add(path, 1, "entries")
    return GONE


def _shrink_text(text: str, room: int, path: tuple[str, ...], left_out: LeftOut) -> Any:
    fits, beyond = 0, min(len(text), max(room, 0)) + 1
    while beyond - fits > 1:
        middle = (fits + beyond) // 2
        if len(printed(text[:middle])) <= room:
            fits = middle
        else:
            beyond = middle
    if path and path[-1].endswith("_b64"):
        # What is left of it has to be base64 again.
        fits -= fits % 4
    left_out.add(path, len(text[fits:].encode()), "bytes")
    return text[:fits] if fits else GONE


def _shrink_object(value: dict[str, Any], room: int, path: tuple[str, ...], left_out: LeftOut) -> Any:
    names = {name: len(printed(name)) + 2 for name in value}
    room -= 2
    kept = _share(
        value,
        {name: names[name] + len(printed(item)) for name, item in value.items()},
        room,
        lambda name, share: shrink(value[name], share - names[name], (*path, name), left_out),
        lambda name, item: names[name] + len(printed(item)),
    )
    return kept if kept or room >= 0 else GONE


def _shrink_list(value: list[Any], room: int, path: tuple[str, ...], left_out: LeftOut) -> Any:
    room -= 2
    sizes = [len(printed(item)) + 1 for item in value]
    taken, least = 0, 0
    while taken < len(value) and least + min(sizes[taken], _LEAST_ENTRY) <= room:
        least += min(sizes[taken], _LEAST_ENTRY)
        taken += 1
    if taken < len(value):
        left_out.add(path, len(value) - taken, "entries")
    kept = _share(
        dict(enumerate(value[:taken])),
        dict(enumerate(sizes[:taken])),
        room,
        lambda at, share: shrink(value[at], share - 1, (*path, ""), left_out),
        lambda at, item: 1 + len(printed(item)),
    )
    return list(kept.values()) if kept or room >= 0 else GONE


def _share(
    values: dict[_Key, Any],
    sizes: dict[_Key, int],
    room: int,
    shrunk: Callable[[_Key, int], Any],
    size_of: Callable[[_Key, Any], int],
) -> dict[_Key, Any]:
    """Return the values, in their order, in at most `room` bytes: what exceeds an equal share of the rest is shrunk."""
    kept: dict[_Key, Any] = {}
    waiting = len(values)
    for key in sorted(values, key=lambda item: sizes[item]):
        share = room // waiting
        waiting -= 1
        if sizes[key] <= share:
            kept[key] = values[key]
            room -= sizes[key]
        elif (less := shrunk(key, share)) is not GONE:
            kept[key] = less
            room -= size_of(key, less)
    return {key: kept[key] for key in values if key in kept}
