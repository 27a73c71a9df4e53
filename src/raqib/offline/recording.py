r"""Recordings: what sensors delivered, as versioned JSON lines that people can read and programs can write.

The first line says what it is. Each further line is one observation (`seen` of a file, `flow` of a flow), with the
ancestors of its process, nearest first.
Bytes are written as text; `\xNN` stands for a byte that is no UTF-8, and a backslash is doubled. What is empty or 0 is
left out.
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from raqib import __version__
from raqib.errors import RaqibError
from raqib.model.actions import ACTION_NAMES, action_names, union
from raqib.model.clock import boot_offset_ns
from raqib.model.flow import FLOW_ACTION_NAMES, NO_FLOW_ACTIONS, FlowObservation, flow_action_names
from raqib.model.observation import FileObservation
from raqib.model.process import Process, ProcessKey

FORMAT: Final = "raqib-recording"
VERSION: Final = 2
_READABLE: Final = (1, 2)
"""The first version had no flows."""
MAX_LINE_BYTES = 32 << 20

_ESCAPED = re.compile(rb"\\(\\|x[0-9a-f]{2})")
_ENCODER = msgspec.json.Encoder()


class Header(msgspec.Struct, kw_only=True):
    """The first line."""

    format: str
    version: int
    agent_version: str = ""
    kernel: str = ""
    recorded_ns: int = 0
    """Time of day at which it was begun, nanoseconds since the epoch."""
    boot_offset_ns: int = 0
    """What added to its times (CLOCK_BOOTTIME) gives the time of day."""


class Recorded(NamedTuple):
    """One observation."""

    seen: FileObservation | FlowObservation
    ancestors: tuple[Process, ...]
    """Nearest first."""


def header_line() -> bytes:
    """Return the first line of a recording that begins now."""
    header = Header(
        format=FORMAT,
        version=VERSION,
        agent_version=__version__,
        kernel=platform.release(),
        recorded_ns=time.time_ns(),
        boot_offset_ns=boot_offset_ns(),
    )
    return _ENCODER.encode(header) + b"\n"


def entry_line(recorded: Recorded) -> bytes:
    """Return the line of an observation."""
    about_flow = isinstance(recorded.seen, FlowObservation)
    seen = msgspec.to_builtins(recorded.seen, builtin_types=(bytes,))
    for field in ("actions", "new"):
        seen[field] = (flow_action_names if about_flow else action_names)(seen[field])
    ancestors = [msgspec.to_builtins(ancestor, builtin_types=(bytes,)) for ancestor in recorded.ancestors]
    return _ENCODER.encode(_readable({"flow" if about_flow else "seen": seen, "ancestors": ancestors})) + b"\n"


def read_recording(path: Path, on_cut: Callable[[str], None] = lambda message: None) -> Iterator[Recorded]:
    """Yield the observations of a recording, their times moved to this host's clock.

    `on_cut` hears of a last line that is not whole, which is left out.

    Raises RaqibError if it cannot be read, is no recording, or of a later version; the message names the line.
    """
    try:
        with path.open("rb") as file:
            yield from _read(path, file, on_cut)
    except OSError as error:
        raise RaqibError(f"{path}: expected a recording that can be read: {error.strerror or error}") from error


class RecordingFile:
    """A recording that is being written; its owner alone can read it."""

    def __init__(self, path: Path) -> None:
        """Begin a new one. Raises RaqibError if it cannot be written."""
        self._path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._file = os.fdopen(os.open(path, flags, 0o600), "wb")
        except OSError as error:
            raise RaqibError(f"{path}: expected a file that can be written: {error.strerror or error}") from error
        self._write(header_line())

    def write(self, seen: FileObservation | FlowObservation, ancestors: Iterable[Process]) -> None:
        """Add an observation; `ancestors` are nearest first. Raises RaqibError."""
        self._write(entry_line(Recorded(seen, tuple(ancestors))))

    def _write(self, line: bytes) -> None:
        try:
            self._file.write(line)
        except OSError as error:
            raise RaqibError(f"{self._path}: expected room for the recording, found: {error}") from error

    def close(self) -> None:
        """Write what is still in memory, and close the file. Raises RaqibError."""
        try:
            self._file.close()
        except OSError as error:
            raise RaqibError(f"{self._path}: expected room for the recording, found: {error}") from error


def _read(path: Path, file: BinaryIO, on_cut: Callable[[str], None]) -> Iterator[Recorded]:
    first = file.readline(MAX_LINE_BYTES)
    try:
        header = msgspec.json.decode(first, type=Header)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RaqibError(f"{path}: expected a recording (raqib record -o FILE), found: {error}") from error
    if header.format != FORMAT or header.version not in _READABLE:
        raise RaqibError(
            f"{path}: expected {FORMAT} of version {VERSION}, found {header.format[:60]!a} of version {header.version};"
            " replay it with the raqib that recorded it"
        )
    shift_ns = header.boot_offset_ns - boot_offset_ns()
    number = 1
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        if not line.endswith(b"\n"):
            if len(line) >= MAX_LINE_BYTES:
                raise RaqibError(f"{path}:{number}: expected at most {MAX_LINE_BYTES} bytes in a line, found more")
            # The recorder was ended by force in the middle of it.
            on_cut(f"{path}:{number}: the last line is not whole: the recording was cut off")
            return
        try:
            yield _entry(line, shift_ns)
        except (msgspec.MsgspecError, UnicodeError, RecursionError, KeyError, TypeError, ValueError) as error:
            raise RaqibError(f"{path}:{number}: expected a recorded observation, found: {error}") from error


def _entry(line: bytes, shift_ns: int) -> Recorded:
    plain = _exact(msgspec.json.decode(line, type=dict[str, Any]))
    observation = _flow(plain["flow"]) if "flow" in plain else _access(plain["seen"])
    ancestors = [msgspec.convert(ancestor, Process, builtin_types=(bytes,)) for ancestor in plain.get("ancestors", ())]
    moved = replace(
        observation,
        process=_moved(observation.process, shift_ns),
        timestamp_ns=observation.timestamp_ns + shift_ns,
    )
    if isinstance(moved, FlowObservation) and moved.first_ns:
        moved = replace(moved, first_ns=moved.first_ns + shift_ns)
    return Recorded(moved, tuple(_moved(ancestor, shift_ns) for ancestor in ancestors))


def _access(seen: dict[str, Any]) -> FileObservation:
    actions, new = (union(ACTION_NAMES[name.decode()] for name in seen[field]) for field in ("actions", "new"))
    observation = msgspec.convert(seen | {"actions": 0, "new": 0}, FileObservation, builtin_types=(bytes,))
    return replace(observation, actions=actions, new=new)


def _flow(seen: dict[str, Any]) -> FlowObservation:
    actions, new = (
        reduce(or_, (FLOW_ACTION_NAMES[name.decode()] for name in seen[field]), NO_FLOW_ACTIONS)
        for field in ("actions", "new")
    )
    plain = {key: value if key == "process" else _texts(value) for key, value in seen.items()}
    observation = msgspec.convert(plain | {"actions": 0, "new": 0}, FlowObservation, builtin_types=(bytes,))
    return replace(observation, actions=actions, new=new)


def _texts(node: Any) -> Any:
    """Return the same with bytes as the text that they are."""
    if isinstance(node, bytes):
        return node.decode()
    if isinstance(node, dict):
        return {key: _texts(value) for key, value in node.items()}
    return [_texts(value) for value in node] if isinstance(node, list) else node


def _moved(process: Process, shift_ns: int) -> Process:
    image = process.image
    return replace(
        process,
        key=_moved_key(process.key, shift_ns),
        parent=_moved_key(process.parent, shift_ns),
        image=replace(image, exec_ns=image.exec_ns + shift_ns) if image.exec_ns else image,
        exit_ns=None if process.exit_ns is None else process.exit_ns + shift_ns,
    )


def _moved_key(key: ProcessKey, shift_ns: int) -> ProcessKey:
    return ProcessKey(key.pid, key.start_ns + shift_ns) if key.start_ns else key


def _readable(node: Any) -> Any:
    """Return plain values with bytes as text, and without what is empty."""
    if isinstance(node, bytes):
        return node.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    if isinstance(node, str):
        return node.replace("\\", "\\\\")
    if isinstance(node, dict):
        return {key: _readable(value) for key, value in node.items() if value or _means(key, value)}
    if isinstance(node, list | tuple):
        return [_readable(value) for value in node]
    return node


def _means(key: str, value: Any) -> bool:
    """Tell whether something empty has to be written all the same: it is required, or its absence means another."""
    required = ("path", "timestamp_ns", "actions", "new", "key", "process", "address", "protocol", "ip_version")
    return key in required or (key in ("exit_status", "icmp_type", "icmp_code") and value == 0)


def _exact(node: Any) -> Any:
    """Return the same with all text as the bytes that it stands for."""
    if isinstance(node, str):
        return _ESCAPED.sub(_unescape, node.encode())
    if isinstance(node, dict):
        return {key: _exact(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_exact(value) for value in node]
    return node


def _unescape(found: re.Match[bytes]) -> bytes:
    return b"\\" if found[1] == b"\\" else bytes([int(found[1][1:], 16)])
