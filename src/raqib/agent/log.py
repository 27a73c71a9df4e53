"""The daemon's own log."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TextIO

import structlog

from raqib.reactions.config import LogLine


def configure(file: Path | None) -> None:
    """Send the log to a file, or to standard error: for people on a terminal, as JSON lines elsewhere."""
    target: TextIO = sys.stderr
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        target = file.open("a", buffering=1)
    human = target.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(target),
        cache_logger_on_first_use=True,
    )


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
