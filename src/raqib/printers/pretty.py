"""An event in a few lines, for people: one glance tells when, how bad, which recipe, who did what."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

import msgspec
from msgspec import UNSET, UnsetType
from rich.color import ColorSystem
from rich.style import Style

from raqib.model.event import Endpoint, Event, FileInfo, Flow, ProcessInfo
from raqib.model.uuids import short_uuid
from raqib.printers.escape import visible
from raqib.printers.layout import FAINT, LABEL_COLUMNS, PLAIN, STRONG, Layout, Part
from raqib.printers.terminal import color_system, columns, encoding
from raqib.printers.told import ActionTold, action_line, outcome_lines, reaction_lines

_IMPORTANCE = {
    "none": FAINT,
    "low": Style(color="cyan"),
    "medium": Style(color="yellow"),
    "high": Style(color="red", bold=True),
    "critical": Style(color="white", bgcolor="red", bold=True),
}

_TREE_BEGIN = 1
_TREE_END = 4
_LONGEST_NAME = 40


class Pretty:
    """Renders events, in the colours of `color_system`, or in none."""

    def __init__(
        self,
        color_system: ColorSystem | None = None,
        columns: Callable[[], int | None] = lambda: None,
        encoding: str = "utf-8",
    ) -> None:
        """`columns` tells how wide a line may be now; None: as long as it is. `encoding` has to have what is shown."""
        self._layout = Layout(color_system, columns, encoding)

    @classmethod
    def for_file(cls, file: TextIO) -> Pretty:
        """Return one for what is written to a file, as a terminal's type, size, locale and NO_COLOR ask for."""
        fd = file.fileno()
        return cls(color_system(file), lambda: columns(fd), encoding())

    @property
    def encoding(self) -> str:
        """The encoding that has every character of what is rendered."""
        return self._layout.encoding

    def render(self, event: Event) -> str:
        """Return the event as lines, the last one with its newline.

        What the event carries is made visible first: no character of it can steer the terminal.
        """
        if event.event_type == "outcome":
            note = self.detail("note", event.note) if event.note else ""
            return "".join((self._outcome_headline(event), note, *outcome_lines(self._layout, event)))
        lines = [self._headline(event)]
        lines += [self._layout.labelled(label, parts) for label, parts in self._details(event)]
        return "".join(lines)

    def detail(self, label: str, text: str) -> str:
        """Return another line of an event's; nothing in `text` steers the terminal."""
        return self._layout.labelled(label, [(visible(text, 4000), PLAIN)])

    def action(self, told: ActionTold) -> str:
        """Return the line that tells of an action."""
        return action_line(self._layout, told)

    def reaction(self, outcome: str, error: str, actions: Sequence[ActionTold]) -> str:
        """Return the lines that tell of a reaction and its actions."""
        return "".join(reaction_lines(self._layout, outcome, error, actions))

    def _headline(self, event: Event) -> str:
        metadata = event.metadata
        importance = metadata.importance or "none"
        parts = [
            (f"{_time(event.timestamp)} ", FAINT),
            (f" {visible(importance).upper():<8} ", _IMPORTANCE.get(importance, PLAIN)),
            (f" {visible(metadata.name)}", STRONG),
        ]
        if metadata.name != event.event_type:
            parts.append((f" {event.event_type}", FAINT))
        if metadata.description:
            parts.append((f" {visible(metadata.description)}", PLAIN))
        attack = metadata.attack
        identifier = attack and (attack.subtechnique or attack.technique or attack.tactic)
        if identifier:
            parts.append((f" [{visible(identifier)}]", FAINT))
        parts.append((f"  {visible(short_uuid(event.uuid))}", FAINT))
        return self._layout.line(parts)

    def _outcome_headline(self, event: Event) -> str:
        parts = [
            (f"{_time(event.timestamp)} ", FAINT),
            (" outcome  ", FAINT),
            (f" {visible(event.metadata.name)}", STRONG),
            (f"  {visible(short_uuid(event.uuid))}", FAINT),
        ]
        return self._layout.line(parts)

    def _details(self, event: Event) -> Iterator[tuple[str, list[Part]]]:
        if event.process is not None:
            yield "process", _process(event.process)
        if event.background is not None and event.background.ancestry is not UNSET:
            for number, link in enumerate(self._tree(event.background.ancestry)):
                yield "who" if number == 0 else "", [(link, PLAIN)]
        if event.process is not None and (where := _where(event.process)):
            yield "where", [(where, PLAIN)]
        if event.file is not None:
            yield "file", _file(event.file)
        if event.flow is not None:
            yield "peer", _flow(event.flow)
        yield from ((label, [(visible(text), PLAIN)]) for label, text in _facts(event) if text)

    def _tree(self, ancestry: Sequence[ProcessInfo]) -> Iterator[str]:
        """Yield the processes from the first to the last, each below its parent; those in the middle are counted."""
        shown: list[ProcessInfo | int] = [*ancestry]
        left_out = len(ancestry) - _TREE_BEGIN - _TREE_END
        if left_out > 1:
            shown[_TREE_BEGIN:-_TREE_END] = [left_out]
        for depth, entry in enumerate(shown):
            branch = "  " * (depth - 1) + "└ " if depth else ""
            yield branch + (f"… {entry} more" if isinstance(entry, int) else self._link(entry, len(branch)))

    def _link(self, process: ProcessInfo, indent: int) -> str:
        pid = "" if isinstance(process.pid, UnsetType) else f"({process.pid})"
        room = self._layout.room(LABEL_COLUMNS + indent + len(pid))
        name = visible(_base(process.exe or "") or process.comm or "?")
        return self._layout.cut(name, _LONGEST_NAME if room is None else min(room, _LONGEST_NAME)) + pid


def _process(process: ProcessInfo) -> list[Part]:
    parts = [(visible(process.exe or process.comm or "?"), STRONG)]
    if arguments := _arguments(process):
        parts.append((f" {visible(arguments)}", PLAIN))
    if process.pid is not UNSET:
        parts.append((f"  pid {process.pid}", FAINT))
    return parts


def _where(process: ProcessInfo) -> str:
    facts = []
    if process.container:
        facts.append("container " + visible(process.container.get("name") or process.container.get("id", "?")))
    if process.uid is not UNSET:
        # Other names depend on the host, and on the container.
        facts.append("user root" if process.uid == 0 else f"uid {process.uid}")
    return "  ".join(facts)


def _file(file: FileInfo) -> list[Part]:
    actions = " ".join(map(visible, file.actions)) if file.actions is not UNSET else ""
    notes = [actions, "(deleted)" * file.deleted, "(name as given, not resolved)" * file.as_given]
    return [(visible(file.path or file.file or "?"), STRONG), *((f"  {note}", PLAIN) for note in notes if note)]


def _flow(flow: Flow) -> list[Part]:
    arrow = "←" if flow.phase is not None and flow.phase.initiated_by == "remote" else "→"
    return [
        (f"{visible(flow.proto)}  {_endpoint(flow.local)} {arrow} ", PLAIN),
        (_endpoint(flow.remote), STRONG),
    ]


def _facts(event: Event) -> Iterator[tuple[str, str]]:
    yield "rule", event.rule or ""
    yield "names", " ".join(event.names)
    yield "note", event.note or ""
    if event.event_type == "notify":
        yield from _notice(event)
    elif event.event_type == "repeated":
        yield from _examples(event)
    elif event.event_type != "agent":  # whose note says it
        for name, value in (event.fields or {}).items():
            yield visible(name), bytes(value).decode(errors="replace")
    if event.attenuator is not None:
        yield "verdict", event.attenuator.interpretation or ""
    if event.loss is not None and event.loss.lost:
        yield "loss", f"{event.loss.lost} accesses were not recorded"


def _examples(event: Event) -> Iterator[tuple[str, str]]:
    """Yield some of those that were only counted; the note says how many."""
    try:
        told = msgspec.json.decode((event.fields or {}).get("repeated", b"{}"), type=dict[str, Any])
        for example in told.get("examples", ()):
            names = (("pid", "pid "), ("uid", "uid "), ("exe", ""), ("file", ""))
            yield "example", "  ".join(f"{before}{example[name]}" for name, before in names if name in example)
    except (msgspec.MsgspecError, TypeError):
        return


def _notice(event: Event) -> Iterator[tuple[str, str]]:
    """Yield what a reaction tells, and of which event; the title is the note already."""
    fields = event.fields or {}
    try:
        members = msgspec.json.decode(fields.get("fields", b"{}"), type=dict[str, msgspec.Raw])
        about = msgspec.json.decode(fields.get("event", b'""'), type=str)
    except msgspec.MsgspecError:
        return
    for name, value in members.items():
        yield visible(name), bytes(value).decode(errors="replace")
    yield "about", short_uuid(about)


def _time(timestamp: str) -> str:
    """Return date and time to the millisecond, as UTC: of 2026-01-02T03:04:05.678901234Z the first 23 characters."""
    date, _, clock = visible(timestamp).partition("T")
    return f"{date} {clock.rstrip('Z')[:12]}Z"


def _arguments(process: ProcessInfo) -> str:
    """Return the arguments quoted; the zeroth only where it is not the program's name, as it is with a disguise."""
    if process.args is UNSET:
        return process.cmd or ""
    rest = shlex.join(process.args[1:])
    if not process.args or _base(process.args[0]).lstrip("-") == _base(process.exe or ""):
        return rest
    return f"(as {shlex.quote(process.args[0])}) {rest}".rstrip()


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _endpoint(endpoint: Endpoint | None) -> str:
    if endpoint is None:
        return "?"
    address = visible(endpoint.address or "?")
    if endpoint.port is not None:
        address = f"[{address}]:{endpoint.port}" if ":" in address else f"{address}:{endpoint.port}"
    name = endpoint.name or next(iter(endpoint.names or ()), None)
    if not name:
        return address
    return f"{visible(name)}{' (unlisted server)' if endpoint.names_from == 'unlisted' else ''} {address}"
