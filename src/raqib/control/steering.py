"""Answers the command line about the running agent: status, arming, undo. Tells the ledger's head elsewhere."""

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
from raqib.config.config import Config
from raqib.control.log import is_for_people
from raqib.control.operator import Operator
from raqib.control.server import Command, ControlServer
from raqib.control.socket import CommandResult
from raqib.control.statistics import Statistics
from raqib.host.journal import send
from raqib.ledger.chain import Head
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


class Steering:
    """Belongs to one agent and its event loop."""

    def __init__(self, config: Config, reactions: Reactions, statistics: Statistics, parts: Parts) -> None:
        """`reactions` have been started."""
        self._config = config
        self._reactions = reactions
        self._statistics = statistics
        self._parts = parts
        self._started = time.monotonic()
        self._log = structlog.get_logger()

    @property
    def armed(self) -> bool:
        """Whether actions are done."""
        return self._reactions.services.switch.armed

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answer the command line and tell the ledger's head, as long as the context is open.

        Raises OSError if the socket cannot be made.
        """
        commands = self._commands(Operator(self._reactions.services))
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

    def status(self) -> dict[str, Any]:
        """Return how the agent is, without the network policy."""
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
            **self._statistics.summary(reactions.running, reactions.waiting),
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
        return self.status() | {"policy": await asyncio.to_thread(self._parts.policy)}

    async def _tell_heads(self) -> None:
        while True:
            tell_head(self._reactions.ledger_head, last=False)
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

    def _switched(self, how: str, answer: CommandResult) -> CommandResult:
        log = self._log.warning if how == "off" else self._log.info
        log(f"all actions were switched {how}", problem=answer.reason or None)
        return answer


def tell_head(head: Head, *, last: bool = True) -> None:
    """Write the ledger's head to the log and to the journal: a cut end is found by it.

    People at a terminal are told the `last` one only. An empty ledger has none.
    """
    if not head.seq:
        return
    log = structlog.get_logger()
    if not is_for_people():
        log.info("ledger head", seq=head.seq, hash=head.hash, head=str(head))
    elif last:
        log.info(f"ledger head {head}")
    send(f"ledger head {head}", RAQIB_LEDGER_SEQ=head.seq, RAQIB_LEDGER_HASH=head.hash)


def _summed(exceptions: list[dict[str, Any]]) -> dict[str, int]:
    return {
        "in_force": sum(not rule["ended"] for rule in exceptions),
        "ended": sum(rule["ended"] for rule in exceptions),
        "covered": sum(rule["count"] for rule in exceptions),
        "withheld": sum(rule["withheld"] for rule in exceptions),
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
