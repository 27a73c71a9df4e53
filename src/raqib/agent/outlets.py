"""Where detections go: printers and reactions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from raqib.agent.publishing import Publisher
from raqib.agent.reporting import Reporter, Times
from raqib.config.config import Config
from raqib.config.stages import places_of
from raqib.control.log import wait_written, write_line
from raqib.control.statistics import Statistics
from raqib.control.steering import tell_head
from raqib.events.notice import notice_event
from raqib.model.detection import Detection
from raqib.model.execution import BreakerOpened, Finished, LogLine, Notice
from raqib.printers import Printer, Printers
from raqib.reactions import Reactions

_DRAIN_S = 3.0


class Hooks(msgspec.Struct, frozen=True):
    """What is called for those who look on. Called in the event loop; none may block."""

    on_log: Callable[[LogLine], None] = write_line
    on_finished: Callable[[Finished], None] = lambda finished: None
    on_detection: Callable[[Detection, Times], None] = lambda detection, times: None


class Outlets:
    """Belongs to one event loop."""

    def __init__(self, config: Config, config_file: Path | None, printers: Iterable[Printer], hooks: Hooks) -> None:
        """Prepare; nothing runs before `open` and `start_reactions`."""
        settings = config.printers
        self.printers = Printers(list(printers), max_waiting_bytes=settings.max_waiting_bytes, full=settings.full)
        self.publisher = Publisher(self.printers, config.in_flight.max_bytes, each=settings.each)
        self.statistics = Statistics()
        self._hooks = hooks
        self.reactions = Reactions(
            config.reactions,
            places_of(config, config_file),
            emergency=config.emergency,
            on_log=hooks.on_log,
            log_written=wait_written,
            on_finished=self._finished,
            on_breaker=self._breaker_opened,
            on_notify=self._notify,
        )
        self.reporter = Reporter(self.printers, self.publisher, self.reactions, self.statistics, hooks.on_detection)

    def open(self, stack: contextlib.AsyncExitStack) -> None:
        """Begin to print, until the stack is closed."""
        self.printers.start()
        stack.callback(self.printers.close)
        stack.callback(self.publisher.close)

    async def start_reactions(self, stack: contextlib.AsyncExitStack) -> None:
        """Begin to react, until the stack is closed: what was detected until then is printed and reacted to.

        Raises as `Reactions.start`.
        """
        await self.reactions.start()
        stack.callback(lambda: tell_head(self.reactions.ledger_head))
        stack.push_async_callback(self.reactions.close)
        stack.push_async_callback(self._drain)

    async def _drain(self) -> None:
        """Let what has been detected be printed and reacted to, for a limited time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                await self.reporter.drain()

    def _finished(self, finished: Finished) -> None:
        self.statistics.finished(finished)
        self.publisher.finished(finished)
        self._hooks.on_finished(finished)

    def _notify(self, notice: Notice) -> None:
        self.publisher.print(notice_event(notice))

    def _breaker_opened(self, opened: BreakerOpened) -> None:
        self.statistics.breakers += 1
        self.publisher.breaker_opened(opened)
