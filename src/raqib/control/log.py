"""The daemon's own log."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from raqib.model.execution import LogLine
from raqib.model.uuids import short_uuid
from raqib.printers.terminal import color_system, encoding

_state = {"for_people": False}


class _Sink:
    """Writes lines to a file for as long as there is one that takes them.

    Whoever logs goes on: a terminal that is gone, or a full disk, must not end what the lines are about. Nothing is
    held back, so that nothing is left to fail at exit.
    """

    def __init__(self, file: TextIO | None) -> None:
        self._file = file
        self._encoding = encoding() if file is not None and file.isatty() else "utf-8"

    def write(self, text: str) -> None:
        """Write what can be written; the rest is lost."""
        if self._file is None:
            return
        rest = memoryview(text.encode(self._encoding, "backslashreplace"))
        with contextlib.suppress(OSError):
            while rest:
                rest = rest[os.write(self._file.fileno(), rest) :]

    def flush(self) -> None:
        """Do nothing: `write` has."""


def configure(file: Path | None, *, least: int = logging.NOTSET) -> None:
    """Send the log to a file, or to standard error: for people on a terminal, as JSON lines elsewhere.

    What is below the level `least`, one of logging's, is left out.
    """
    target: TextIO | None = sys.stderr
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        target = file.open("a")
    human = target is not None and target.isatty()
    _state["for_people"] = human
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(_human_processors(target) if target is not None and human else [structlog.processors.JSONRenderer()]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _Sink(target))),
        cache_logger_on_first_use=True,
    )


def _human_processors(target: TextIO) -> list[Processor]:
    return [_brief, structlog.dev.ConsoleRenderer(colors=color_system(target) is not None, pad_event_to=0)]


def _brief(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    """Leave out what the recipe's name says as well, and shorten what can be looked up by its short form."""
    if "recipe" in line:
        line.pop("kind", None)
    if not line.get("reaction", True):
        del line["reaction"]
    if "uuid" in line:
        line["uuid"] = short_uuid(line["uuid"])
    return line


def tell(line: str) -> None:
    """Say something to whoever started raqib, on standard error, if anybody still listens."""
    _Sink(sys.stderr).write(line + "\n")


def is_for_people() -> bool:
    """Return whether the log goes to a terminal."""
    return _state["for_people"]


def write_line(line: LogLine) -> None:
    """Log a line of a reaction, or about one."""
    log = structlog.get_logger()
    bound = {"recipe": line.name, "kind": line.kind, "uuid": line.uuid, "reaction": line.reaction} if line.name else {}
    match line.level:
        case "info":
            log.info(line.text, **bound)
        case "warn":
            log.warning(line.text, **bound)
        case "error":
            log.error(line.text, **bound)
