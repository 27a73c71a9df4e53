"""Runs the reactions of recordings, samples and printed events in real workers, without doing anything."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from msgspec.structs import replace

from raqib.config.config import Config
from raqib.config.stages import places_of
from raqib.model.detection import Detection
from raqib.model.execution import Finished, HelperCall, LogLine
from raqib.offline.door import DryCall, DryDoor
from raqib.offline.dry_network import dry_network
from raqib.reactions import Reactions

_LONGEST_ARGUMENT = 80


class Reacted(msgspec.Struct, frozen=True):
    """What one reaction would have done."""

    reaction: int
    outcome: str
    error: str
    calls: tuple[dict[str, Any], ...]
    """Each with `name`, `arguments`, `decision`, `value`, `reason` and `target`."""


class DryRun:
    """Workers for reactions that change nothing; an asynchronous context manager. Needs no privileges."""

    def __init__(
        self,
        config: Config,
        *,
        on_log: Callable[[LogLine], None] = lambda line: None,
        on_call: Callable[[HelperCall], None] | None = None,
        on_finished: Callable[[Finished], None] = lambda finished: None,
    ) -> None:
        """Take the configuration's limits; `on_log` gets what reactions log, `on_call` each helper call at once."""
        self._config = config
        self._on_log = on_log
        self._on_call = on_call
        self._on_finished = on_finished
        self._calls: dict[tuple[str, int], list[DryCall]] = defaultdict(list)
        self._waiting: dict[str, asyncio.Queue[Finished]] = {}

    async def __aenter__(self) -> DryRun:
        """Start the workers. Raises NotPermittedError if none comes up."""
        async with AsyncExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="raqib-dry-run-")))
            config = self._config
            protected_cidrs = config.network.protected_cidrs
            self._door = DryDoor(self._called, lambda: dry_network(protected_cidrs))
            self._reactions = Reactions(
                replace(config.reactions, dry_run=True, workers=1),
                replace(places_of(config), data_dir=directory / "data"),
                emergency=config.emergency,
                on_log=self._on_log,
                on_finished=self._finished,
                on_call=self._on_call,
                make_door=lambda: self._door,
            )
            await self._reactions.start()
            stack.push_async_callback(self._reactions.close)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers and remove what they left."""
        await self._stack.aclose()

    async def warm_workers(self) -> tuple[int, ...]:
        """Wait until all workers are warm; return their process ids."""
        await self._reactions.wait_ready(2)
        return self._reactions.worker_pids

    def forget_data(self) -> None:
        """Let the following reactions find an empty data store, and no blocks."""
        self._door.forget_data()

    async def react(self, detection: Detection) -> list[Reacted]:
        """Run all reactions of a detection's recipe, and return what they would have done."""
        uuid, count = detection.event.uuid, len(detection.recipe.reactions)
        queue: asyncio.Queue[Finished] = asyncio.Queue()
        self._waiting[uuid] = queue
        self._reactions.submit(detection)
        finished = [await queue.get() for _ in range(count)]
        del self._waiting[uuid]
        for execution in finished:
            self._door.forget_execution(uuid, execution.reaction)
        return [
            Reacted(
                reaction=execution.reaction,
                outcome=execution.outcome,
                error=execution.error,
                calls=tuple(_plain(call) for call in self._calls.pop((uuid, execution.reaction), ())),
            )
            for execution in sorted(finished, key=lambda execution: execution.reaction)
        ]

    def _called(self, call: DryCall) -> None:
        self._calls[call.uuid, call.reaction].append(call)

    def _finished(self, finished: Finished) -> None:
        self._on_finished(finished)
        if finished.uuid in self._waiting:
            self._waiting[finished.uuid].put_nowait(finished)


def _plain(call: DryCall) -> dict[str, Any]:
    record = call.record
    return {
        "name": call.name,
        "arguments": list(call.arguments),
        "decision": record.decision,
        "value": record.value,
        "reason": record.reason,
        "target": record.target,
    }


def show_call(name: str, arguments: list[Any] | tuple[Any, ...]) -> str:
    """Return a call as JavaScript writes it, long arguments cut."""
    return f"{name}({', '.join(_shorten(json.dumps(argument)) for argument in arguments)})"


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_ARGUMENT else f"{text[:_LONGEST_ARGUMENT]}…"
