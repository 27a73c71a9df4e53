"""The daemon's own log."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from raqib.control.sink import Sink
from raqib.model.execution import LogLine
from raqib.model.uuids import short_uuid
from raqib.printers.terminal import color_system


class _State:
    """What `configure` decided."""

    for_people = False
    sink: Sink | None = None
    stderr: Sink | None = None


def configure(file: Path | None, *, least: int = logging.NOTSET) -> None:
    """Send the log to a file, or to standard error: for people on a terminal, as JSON lines elsewhere.

    What is below the level `least`, one of logging's, is left out.
    """
    target: TextIO | None = sys.stderr
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        target = file.open("a")
    sink = _State.sink = Sink(target, _tell_dropped) if file is not None else _stderr()
    human = target is not None and target.isatty()
    _State.for_people = human
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(_human_processors(target) if target is not None and human else [structlog.processors.JSONRenderer()]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, sink)),
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
    """Say something to whoever started raqib, on standard error, if anybody still listens. Never waits."""
    _stderr().write(line + "\n")


def wait_written() -> None:
    """Wait, for a second at most, until all that was logged is written: for last words."""
    if _State.sink is not None:
        _State.sink.wait_written()


def _stderr() -> Sink:
    if _State.stderr is None or _State.stderr.file is not sys.stderr:
        _State.stderr = Sink(sys.stderr, _tell_dropped)
    return _State.stderr


def _tell_dropped(count: int) -> None:
    structlog.get_logger().warning("lines of the log are missing here: they could not be written", dropped=count)


def is_for_people() -> bool:
    """Return whether the log goes to a terminal."""
    return _State.for_people


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
