"""Events as they were printed, in either form, or as samples: read from a file, as JSON or YAML."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml
from msgspec import UNSET, UnsetType

from raqib.errors import UsageError
from raqib.events.describe import file_list, file_tree
from raqib.events.flows import flows_info
from raqib.model.actions import ACTION_NAMES, union
from raqib.model.compact import CompactAncestor, CompactBackground, CompactEvent, Cut
from raqib.model.event import Background, Event, ProcessInfo, encode
from raqib.model.flow_line import flow_of_line
from raqib.offline.printed_process import accessed_of, flows_of

MAX_BYTES: Final = 32 << 20

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_OF_SAMPLES = {"process", "parent", "ancestry", "file", "flow"}
_SAME = tuple(name for name in CompactEvent.__struct_fields__ if name not in ("background", "cut"))


class Printed(msgspec.Struct, frozen=True):
    """An event that was printed."""

    event: Event
    data_json: bytes
    """What a reaction gets of it, without the alias `base`."""
    cut: tuple[Cut, ...] | None = None
    """What is missing, if this was made from the compact form; None: nothing."""


class Document(msgspec.Struct, frozen=True):
    """What a file holds: an event, or a sample of one as in the tests of recipes."""

    source: str
    text: bytes
    printed: Printed | None
    """None: it is a sample."""


def read_text(path: Path) -> tuple[str, bytes]:
    """Read a file, `-` being standard input; return what it is called, and its bytes. Raises UsageError."""
    source = "standard input" if path == Path("-") else str(path)
    try:
        if path == Path("-"):
            text = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with path.open("rb") as file:
                text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{source}: expected a file with an event: {error.strerror or error}") from error
    if len(text) > MAX_BYTES:
        raise UsageError(f"{source}: expected an event of at most {MAX_BYTES} bytes, found more")
    return source, text


def read_document(path: Path) -> Document:
    """Read one event from a file, or from standard input (`-`). Raises UsageError."""
    source, text = read_text(path)
    if not text.strip():
        raise UsageError(f"{source}: expected an event, found nothing: it is empty")
    members = _json(text, source)
    if members is None:
        members = _yaml(text, source)
    if members.keys() <= _OF_SAMPLES:
        return Document(source, text, None)
    try:
        return Document(source, text, _printed(members))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        hint = ""
        if "seen" in members or "ancestors" in members:
            hint = "; raqib replay takes recordings"
        elif "event" in members:
            hint = "; its member `event` may be one: jq .event"
        raise UsageError(
            f"{source}: expected an event as raqib prints it, or a sample event as in tests, found an object "
            f"with {', '.join(sorted(members)[:6])!a}: {error}{hint}"
        ) from error


def printed_of(line: bytes) -> Printed | None:
    """Return the event of a line of JSON, or None if it is none."""
    try:
        return _printed(_MEMBERS.decode(line))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _printed(members: dict[str, msgspec.Raw]) -> Printed:
    # The alias says the same again.
    members.pop("base", None)
    if "cut" not in members:
        data = msgspec.json.encode(members)
        return Printed(msgspec.json.decode(data, type=Event), data)
    compact = msgspec.json.decode(msgspec.json.encode(members), type=CompactEvent)
    event = _whole(compact)
    return Printed(event, encode(event), tuple(compact.cut))


def _json(text: bytes, source: str) -> dict[str, msgspec.Raw] | None:
    try:
        return _MEMBERS.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        _MEMBERS.decode(lines[0])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if len(lines) == 1:
        return None
    raise UsageError(
        f"{source}: expected one event, found {len(lines)} lines of JSON; "
        f"give one of them: sed -n 1p FILE | raqib … --event -"
    )


class _Loader(yaml.SafeLoader):
    """YAML 1.2's words alone have a meaning: times stay texts; and nothing stands for something else."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, Any]]] = {}  # noqa: RUF012

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError("expected no aliases (*name)")
        return super().compose_node(parent, index)


for _tag, _pattern, _first in (
    ("bool", r"(?:true|false)", "tf"),
    ("null", r"(?:null|~|)", "n~\0"),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,18})", "-+0123456789"),
    ("float", r"[-+]?[0-9]{1,18}\.[0-9]{0,18}(?:[eE][-+]?[0-9]{1,3})?", "-+0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"{_pattern}\Z"), list(_first))


def _yaml(text: bytes, source: str) -> dict[str, msgspec.Raw]:
    expected = f"{source}: expected an event as raqib prints it, or a sample event as in tests"
    try:
        found = yaml.load(text, Loader=_Loader)  # noqa: S506  # derived from SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise UsageError(f"{expected}, found neither JSON nor YAML: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise UsageError(f"{expected}, found {_named(found)}")
    try:
        return _MEMBERS.decode(msgspec.json.encode(found))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{expected}, found what JSON cannot carry: {error}") from error


def _named(value: object) -> str:
    return {list: "a list", dict: "an object with keys that are no texts", str: "a text", type(None): "nothing"}.get(
        type(value), "a single value"
    )


def _whole(compact: CompactEvent) -> Event:
    """Return the event again, as far as the compact form tells."""
    event = Event(**{name: getattr(compact, name) for name in _SAME})
    if compact.background is not None:
        event.background = _background(compact.background, event)
    return event


def _background(compact: CompactBackground, event: Event) -> Background:
    chain: list[ProcessInfo] | UnsetType = UNSET
    if not isinstance(compact.ancestry, UnsetType):
        chain = [_ancestor(ancestor) for ancestor in compact.ancestry]
        if chain and event.process is not None:
            chain[-1] = event.process
        _adopt(chain)
    files = [
        (file, union(ACTION_NAMES[name] for name in file.actions if name in ACTION_NAMES)) for file in compact.file_list
    ]
    event.background = Background(ancestry=chain, containers=compact.containers)
    event.background.file_list = [
        msgspec.structs.replace(*file_list([(file.path.encode(), actions)]), path_b64=file.path_b64)
        for file, actions in files
    ]
    flows = [flow_of_line(line) for line in compact.flow_list]
    event.background.flow_list = [flow for flow in flows if flow is not None]
    event.background.files = file_tree(file_list(accessed_of(event)))
    event.background.flows = flows_info(flows_of(event))
    return event.background


def _ancestor(ancestor: CompactAncestor) -> ProcessInfo:
    """Return an ancestor; where its arguments end is a guess."""
    return ProcessInfo(
        pid=ancestor.pid,
        comm=ancestor.comm,
        comm_b64=ancestor.comm_b64,
        exe=ancestor.exe,
        exe_b64=ancestor.exe_b64,
        uid=ancestor.uid,
        start=ancestor.start,
        cmd=ancestor.cmdline,
        cmd_b64=ancestor.cmdline_b64,
        args=(ancestor.cmdline or "").split(" ") if ancestor.cmdline else UNSET,
    )


def _adopt(chain: Sequence[ProcessInfo]) -> None:
    for parent, child in itertools.pairwise(chain):
        if isinstance(child.ppid, UnsetType):
            child.ppid = parent.pid
