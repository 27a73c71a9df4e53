"""Watches over the running agent: status, arming, the ledger's head told elsewhere, breakers told as events."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog

from raqib import __version__
from raqib.actions.budgets import BreakerOpened
from raqib.config.config import Config
from raqib.control.log import is_for_people
from raqib.control.operator import Operator
from raqib.control.server import Command, ControlServer
from raqib.control.socket import Answer
from raqib.control.statistics import Statistics
from raqib.events.build import uuid7
from raqib.host.journal import send
from raqib.model.clock import rfc3339
from raqib.model.event import Event, Metadata
from raqib.reactions import Reactions

HEAD_INTERVAL_S = 60.0

_ONE_AT_A_TIME = frozenset({"undo", "store_set", "store_delete"})
"""Commands that change things in threads. Switching all actions off waits for none of them."""

_T = TypeVar("_T")


class Parts(msgspec.Struct, frozen=True):
    """What is asked of the other stages."""

    recipes: Callable[[], int]
    """How many recipes run."""
    sensors: Callable[[], Mapping[str, int]]
    printers: Callable[[], Mapping[str, Any]]
    network: Callable[[], Mapping[str, int] | None] = lambda: None
    """The network's counters; None if nothing of the network is seen."""
    policy: Callable[[], Mapping[str, Any] | None] = lambda: None
    """What is in force of the network policy; None without one. It is asked in a thread."""
    exceptions: Callable[[], list[dict[str, Any]]] = list
    """The exceptions in force, each with what it covered."""


class Oversight:
    """Belongs to one agent and its event loop."""

    def __init__(self, config: Config, publish: Callable[[Event], None]) -> None:
        """`publish` hands an event to the printers."""
        self._config = config
        self._publish = publish
        self._reactions: Reactions | None = None
        self._parts: Parts | None = None
        self._started = time.monotonic()
        self._log = structlog.get_logger()
        self.statistics = Statistics()

    @property
    def armed(self) -> bool:
        """Whether actions are done."""
        return self._reactions is None or self._reactions.services.switch.armed

    @contextlib.asynccontextmanager
    async def watching(self, reactions: Reactions, parts: Parts) -> AsyncIterator[None]:
        """Answer the command line and tell the ledger's head, as long as the context is open.

        Raises OSError if the socket cannot be made.
        """
        self._reactions, self._parts = reactions, parts
        commands = self._commands(Operator(reactions.services))
        server = ControlServer(self._config.data_dir, commands, _ONE_AT_A_TIME)
        await server.start()
        if not self.armed:
            self._log.warning("all actions are switched off: reactions run dry; `raqib arm` switches them on")
        telling = asyncio.get_running_loop().create_task(self._tell_heads())
        try:
            yield
        finally:
            telling.cancel()
            await server.close()

    def tell_head(self, *, last: bool = True) -> None:
        """Write the ledger's head to the log and to the journal: a cut end is found by it.

        People at a terminal are told the `last` one only. An empty ledger has none.
        """
        if self._reactions is None or not self._reactions.ledger_head.seq:
            return
        head = self._reactions.ledger_head
        if not is_for_people():
            self._log.info("ledger head", seq=head.seq, hash=head.hash, head=str(head))
        elif last:
            self._log.info(f"ledger head {head}")
        send(f"ledger head {head}", RAQIB_LEDGER_SEQ=head.seq, RAQIB_LEDGER_HASH=head.hash)

    def breaker_opened(self, opened: BreakerOpened) -> None:
        """Make an event of a budget that is used up."""
        self.statistics.breakers += 1
        note = f"the budget of {opened.limit} {opened.budget} a minute is used up; further ones are refused"
        self._log.warning(note, recipe=opened.recipe, kind=opened.kind, uuid=opened.uuid)
        self._publish(
            Event(
                uuid=uuid7(),
                timestamp=rfc3339(time.time_ns()),
                event_type="agent",
                metadata=Metadata(kind=opened.kind, name=opened.recipe, format="agent", importance=opened.importance),
                note=note,
                fields={"breaker": msgspec.Raw(msgspec.json.encode(opened))},
            )
        )

    def status(self) -> dict[str, Any]:
        """Return how the agent is, without the network policy."""
        if self._reactions is None or self._parts is None:
            return {"armed": self.armed}
        reactions, parts = self._reactions, self._parts
        workers = reactions.worker_pids
        return {
            "version": __version__,
            "pid": os.getpid(),
            "uptime_s": round(time.monotonic() - self._started, 1),
            "armed": self.armed,
            "dry_run": self._config.reactions.dry_run,
            "recipes": parts.recipes(),
            "sensors": dict(parts.sensors()),
            "network": parts.network(),
            "exceptions": _summed(parts.exceptions()),
            "printers": dict(parts.printers()),
            **self.statistics.summary(reactions.running, reactions.waiting),
            "workers": {
                "pids": list(workers),
                "ready": reactions.ready_workers,
                "busy": reactions.running,
                "sandbox_missing": list(reactions.sandbox_missing),
            },
            "memory": {
                "agent_bytes": resident_bytes(os.getpid()),
                "workers_bytes": sum(map(resident_bytes, workers)),
            },
            "ledger": {
                "seq": reactions.ledger_head.seq,
                "hash": reactions.ledger_head.hash,
                "failure": reactions.services.ledger.failure,
            },
        }

    async def _full_status(self) -> dict[str, Any]:
        """Return all of the status: what takes long is asked for in a thread."""
        policy = None if self._parts is None else await asyncio.to_thread(self._parts.policy)
        return self.status() | {"policy": policy}

    async def _tell_heads(self) -> None:
        while True:
            self.tell_head(last=False)
            await asyncio.sleep(HEAD_INTERVAL_S)

    def _commands(self, operator: Operator) -> Mapping[str, Command]:
        return {
            "status": lambda arguments: self._full_status(),
            "disarm": lambda arguments: self._switched("off", operator.disarm()),
            "arm": lambda arguments: self._switched("on", operator.arm()),
            "exceptions": lambda arguments: [] if self._parts is None else self._parts.exceptions(),
            "undo": lambda arguments: _in_thread(operator.undo, arguments),
            "store_set": lambda arguments: _in_thread(operator.store_set, arguments),
            "store_delete": lambda arguments: _in_thread(operator.store_delete, arguments),
        }

    def _switched(self, how: str, answer: Answer) -> Answer:
        log = self._log.warning if how == "off" else self._log.info
        log(f"all actions were switched {how}", problem=answer.reason or None)
        return answer


def _summed(exceptions: list[dict[str, Any]]) -> dict[str, int]:
    return {
        "in_force": sum(not one["ended"] for one in exceptions),
        "ended": sum(one["ended"] for one in exceptions),
        "covered": sum(one["count"] for one in exceptions),
        "withheld": sum(one["withheld"] for one in exceptions),
    }


async def _in_thread(work: Callable[..., _T], arguments: dict[str, Any]) -> _T:
    return await asyncio.to_thread(work, **arguments)


def resident_bytes(pid: int) -> int:
    """Return how much memory a process has resident; 0 if it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
