"""From an event to its compact form, in one line of JSON that no terminal obeys."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import msgspec

from raqib.model.compact import MOST_BYTES, USUAL_BYTES, CompactAncestor, CompactBackground, CompactEvent, CompactFile
from raqib.model.event import Background, Event, ListedFile, ProcessInfo
from raqib.model.flow_line import flow_line
from raqib.printers.shrink import CUT_ROOM, LeftOut, printed, shrink

COMMAND_LINE_BYTES = 256
"""Of ancestors beyond the parent."""

_ROOM_FOR_NAMES = 480
"""For what was left out of the background, and the lists' own names."""
_SHORTEST_ENTRY = 24
_CORE_BYTES = 4 << 10
"""What the process, its ancestors and the file may take before all else has to make room for them."""

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SAME = tuple(name for name in CompactEvent.__struct_fields__ if name not in ("background", "cut"))


def compact(event: Event) -> bytes:
    """Return the event's compact form, at most `MOST_BYTES` long, without a newline."""
    left_out = LeftOut()
    background = event.background
    shortened = None if background is None else _background(background, left_out)
    form = CompactEvent(**{name: getattr(event, name) for name in _SAME}, background=shortened, cut=[])
    head = printed(form)
    room = USUAL_BYTES - len(head) - _ROOM_FOR_NAMES
    if background is not None and shortened is not None:
        shortened.file_list, shortened.flow_list = _newest(background, room, left_out)
    if room < 0:
        form.fields = _shallow(form.fields, left_out)
        return _shrunk(printed(form), left_out)
    form.cut = left_out.cuts()
    return printed(form)


def _background(background: Background, left_out: LeftOut) -> CompactBackground:
    listed = background.ancestry
    if isinstance(listed, msgspec.UnsetType):
        return CompactBackground(containers=background.containers)
    whole = len(listed) - 2
    ancestry = [
        _ancestor(ancestor, COMMAND_LINE_BYTES if at < whole else None, left_out) for at, ancestor in enumerate(listed)
    ]
    if len(listed) > 1:
        left_out.add(("background", "ancestry", "*"), len(listed) - 1, "entries")
    return CompactBackground(ancestry=ancestry, containers=background.containers)


def _ancestor(process: ProcessInfo, most: int | None, left_out: LeftOut) -> CompactAncestor:
    line, exact = process.cmd, process.cmd_b64
    if most is not None and line is not None and len(line) * 4 > most:
        line, exact = _first(line, exact, most, left_out)
    return CompactAncestor(
        pid=process.pid,
        comm=process.comm,
        comm_b64=process.comm_b64,
        exe=process.exe,
        exe_b64=process.exe_b64,
        uid=process.uid,
        start=process.start,
        cmdline=line,
        cmdline_b64=exact,
    )


def _first(line: str, exact: str | None, most: int, left_out: LeftOut) -> tuple[str, str | None]:
    """Return so many bytes of a command line at most, and exactly what they are if that is not text."""
    try:
        raw = line.encode() if exact is None else base64.b64decode(exact)
    except ValueError:
        raw, exact = line.encode(), None
    if len(raw) <= most:
        return line, exact
    left_out.add(("background", "ancestry", "cmdline"), len(raw) - most, "bytes")
    if exact is None:
        return raw[:most].decode("utf-8", "ignore"), None
    return raw[:most].decode("utf-8", "replace"), base64.b64encode(raw[:most]).decode("ascii")


def _newest(background: Background, room: int, left_out: LeftOut) -> tuple[list[Any], list[Any]]:
    """Return as many files and flows, in JSON, as there is room for: in turn, so that neither pushes the other out."""
    files: list[Any] = []
    flows: list[Any] = []
    for kept, entry in _alternating(background, files, flows):
        if room < _SHORTEST_ENTRY:
            break
        text = printed(entry)
        if len(text) < room:
            kept.append(msgspec.Raw(text))
            room -= len(text) + 1
    for name, kept, all_of in (
        ("file_list", files, background.file_list),
        ("flow_list", flows, background.flow_list),
    ):
        if len(kept) < len(all_of):
            left_out.add(("background", name), len(all_of) - len(kept), "entries")
    return files, flows


def _alternating(background: Background, files: list[Any], flows: list[Any]) -> Iterator[tuple[list[Any], Any]]:
    for file, flow in zip_longest(background.file_list, background.flow_list):
        if file is not None:
            yield files, _file(file)
        if flow is not None:
            yield flows, flow_line(flow)


def _file(file: ListedFile) -> CompactFile:
    return CompactFile(path=file.path, path_b64=file.path_b64, actions=[*file.actions])


def _shrunk(head: bytes, left_out: LeftOut) -> bytes:
    """Return an event that is too large even without lists, made smaller."""
    members = _MEMBERS.decode(head)
    order = [*members]
    del members["cut"]
    background = _MEMBERS.decode(members.pop("background", msgspec.Raw(b"{}")))
    chain = background.pop("ancestry", None)
    own: dict[str, Any] = {name: members.pop(name) for name in ("process", "file") if name in members}
    if background:
        members["background"] = msgspec.Raw(msgspec.json.encode(background))
    own_bytes = sum(map(len, own.values())) + 64
    core_bytes = own_bytes + (0 if chain is None else len(chain))
    rest = shrink(_plain(members), USUAL_BYTES - min(core_bytes, _CORE_BYTES) - CUT_ROOM, (), left_out)
    room = MOST_BYTES - len(printed(rest)) - CUT_ROOM
    around: dict[str, Any] = rest.pop("background", {})
    if chain is not None:
        # Half of the room for each, unless one of them needs less.
        share = max(room // 2, room - own_bytes) - len(b',"background":{"ancestry":}')
        ancestry = shrink(msgspec.json.decode(chain), share, ("background", "ancestry"), left_out)
        around = {"ancestry": ancestry, **around}
        room -= len(printed(ancestry)) + len(b',"background":{"ancestry":}')
    own = shrink(_plain(own), room, (), left_out) if own else {}
    whole = {**rest, **own, "background": around, "cut": left_out.cuts()}
    return printed({name: whole[name] for name in order if name in whole})


def _shallow(fields: dict[str, msgspec.Raw] | None, left_out: LeftOut) -> dict[str, msgspec.Raw] | None:
    """Return what a reaction sends without what is nested too deeply to be looked at."""
    if fields is None:
        return None
    kept = {}
    for name, text in fields.items():
        try:
            msgspec.json.decode(text)
        except RecursionError:
            left_out.add(("fields",), len(text), "bytes")
        else:
            kept[name] = text
    return kept


def _plain(members: dict[str, Any]) -> dict[str, Any]:
    return {name: msgspec.json.decode(text) for name, text in members.items()}
