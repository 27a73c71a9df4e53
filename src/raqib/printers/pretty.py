"""An event in a few lines, for people: one glance tells when, how bad, which recipe, who did what."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator

from msgspec import UNSET, UnsetType
from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style

from raqib.model.event import Endpoint, Event, FileInfo, Flow, ProcessInfo
from raqib.printers.escape import visible

_IMPORTANCE = {
    "none": Style(dim=True),
    "low": Style(color="cyan"),
    "medium": Style(color="yellow"),
    "high": Style(color="red", bold=True),
    "critical": Style(color="white", bgcolor="red", bold=True),
}
_STRONG = Style(bold=True)
_FAINT = Style(dim=True)
_PLAIN = Style()

_CHAIN_BEGIN = 2
_CHAIN_END = 5
_LABEL_WIDTH = 9


class Pretty:
    """Renders events, in the colours of `color_system`, or in none."""

    def __init__(self, color_system: ColorSystem | None = None) -> None:
        self._color_system = color_system

    @classmethod
    def for_terminal(cls) -> Pretty:
        """Return one for this process's standard output, heeding NO_COLOR, FORCE_COLOR and TERM."""
        name = Console(file=sys.stdout).color_system
        return cls(ColorSystem[name.upper()] if name else None)

    def render(self, event: Event) -> str:
        """Return the event as lines, the last one with its newline.

        What the event carries is made visible first: no character of it can steer the terminal.
        """
        lines = [self._headline(event)]
        lines += [
            f"  {self._paint(label.ljust(_LABEL_WIDTH), _FAINT)}{text}" for label, text in self._details(event) if text
        ]
        return "\n".join(lines) + "\n"

    def _paint(self, text: str, style: Style) -> str:
        return style.render(text, color_system=self._color_system)

    def _headline(self, event: Event) -> str:
        metadata = event.metadata
        importance = metadata.importance or "none"
        parts = [
            self._paint(_time(event.timestamp), _FAINT),
            self._paint(f" {visible(importance).upper():<8} ", _IMPORTANCE.get(importance, _PLAIN)),
            self._paint(visible(metadata.name), _STRONG),
        ]
        if metadata.name != event.event_type:
            parts.append(self._paint(event.event_type, _FAINT))
        if metadata.description:
            parts.append(visible(metadata.description))
        attack = metadata.attack
        identifier = attack and (attack.subtechnique or attack.technique or attack.tactic)
        if identifier:
            parts.append(self._paint(f"[{visible(identifier)}]", _FAINT))
        return " ".join(parts)

    def _details(self, event: Event) -> Iterator[tuple[str, str]]:
        if event.process is not None:
            yield "process", self._process(event.process)
        if event.file is not None:
            yield "file", self._file(event.file)
        if event.flow is not None:
            yield "flow", self._flow(event.flow)
        if event.rule:
            yield "rule", visible(event.rule)
        if event.names:
            yield "names", visible(" ".join(event.names))
        if event.background is not None and event.background.ancestry is not UNSET:
            yield "chain", _chain(event.background.ancestry)
        for name, value in (event.fields or {}).items():
            yield visible(name), visible(bytes(value).decode(errors="replace"))
        if event.attenuator is not None and event.attenuator.interpretation:
            yield "verdict", visible(event.attenuator.interpretation)
        if event.note:
            yield "note", visible(event.note)
        if event.loss is not None and event.loss.lost:
            yield "loss", f"{event.loss.lost} accesses were not recorded"

    def _process(self, process: ProcessInfo) -> str:
        parts = [self._paint(visible(process.exe or process.comm or "?"), _STRONG)]
        arguments = _arguments(process)
        if arguments:
            parts.append(visible(arguments))
        facts = [
            f"{name} {value}" for name, value in (("pid", process.pid), ("uid", process.uid)) if value is not UNSET
        ]
        if process.container:
            facts.append("container " + visible(process.container.get("name") or process.container.get("id", "?")))
        if facts:
            parts.append(self._paint("  " + "  ".join(facts), _FAINT))
        return " ".join(parts)

    def _file(self, file: FileInfo) -> str:
        parts = [self._paint(visible(file.path or file.file or "?"), _STRONG)]
        if file.actions is not UNSET:
            parts.append(" ".join(map(visible, file.actions)))
        parts += ["(deleted)"] * file.deleted + ["(name as given, not resolved)"] * file.as_given
        return "  ".join(part for part in parts if part)

    def _flow(self, flow: Flow) -> str:
        arrow = "←" if flow.phase is not None and flow.phase.initiated_by == "remote" else "→"
        remote = self._paint(_endpoint(flow.remote), _STRONG)
        return f"{visible(flow.proto)}  {_endpoint(flow.local)} {arrow} {remote}"


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


def _chain(ancestry: list[ProcessInfo]) -> str:
    names = [_link(process) for process in ancestry]
    if len(names) > _CHAIN_BEGIN + _CHAIN_END:
        names[_CHAIN_BEGIN:-_CHAIN_END] = [f"…({len(names) - _CHAIN_BEGIN - _CHAIN_END})"]
    return " → ".join(names)


def _link(process: ProcessInfo) -> str:
    name = visible(_base(process.exe or "") or process.comm or "?", limit=40)
    return name if isinstance(process.pid, UnsetType) else f"{name}({process.pid})"


def _endpoint(endpoint: Endpoint | None) -> str:
    if endpoint is None:
        return "?"
    address = visible(endpoint.address or "?")
    if endpoint.port is not None:
        address = f"[{address}]:{endpoint.port}" if ":" in address else f"{address}:{endpoint.port}"
    name = endpoint.name or next(iter(endpoint.names or ()), None)
    return f"{visible(name)} {address}" if name else address
