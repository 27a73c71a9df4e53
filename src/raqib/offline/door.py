"""The door where the host is not the event's: for recordings, samples and printed events.

It answers as if every action had been done. The processes of the event count as alive until the execution kills them,
and blocks are those that reactions have set so far, in memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from raqib.actions.arguments import decode_arguments
from raqib.actions.budgets import Budgets
from raqib.actions.context import ActionContext
from raqib.actions.declare import Arguments, Done, Failed, Helper, Refused, Result
from raqib.actions.helpers import network
from raqib.actions.helpers.kill import TARGETS
from raqib.actions.network_access import NetworkAccess
from raqib.actions.perform import Door
from raqib.actions.store import Store
from raqib.actions.target import describe_target
from raqib.model.clock import boottime_ns
from raqib.model.execution import ActionRecord, Decision
from raqib.model.process import Process

_OF_NETWORK = frozenset(helper.name for helper in network.HELPERS)
_LAST_SYSTEM_UID = 999


class DryCall(NamedTuple):
    """A helper call that would have been made."""

    uuid: str
    """The event's."""
    reaction: int
    name: str
    arguments: tuple[Any, ...]
    record: ActionRecord


class DryDoor(Door):
    """Does nothing to the host: calls are checked, remembered, and answered as if they had been done."""

    def __init__(
        self, on_call: Callable[[DryCall], None], make_network: Callable[[], NetworkAccess] | None = None
    ) -> None:
        """`make_network` makes a network without any block, which is not this host's; None: there is none."""
        super().__init__()
        self._on_call = on_call
        self._make_network = make_network
        self._killed: dict[tuple[str, int], set[int]] = defaultdict(set)
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._store = Store(None)
        self._network = self._make_network() if self._make_network is not None else None

    def forget_data(self) -> None:
        """Begin with an empty store, and without blocks."""
        self._store.close()
        self._begin_anew()

    def forget_execution(self, uuid: str, reaction: int) -> None:
        """Let the processes that an execution has killed live again; a later one finds them as the event has them."""
        self._killed.pop((uuid, reaction), None)

    def close(self) -> None:
        """Let go of threads and store."""
        super().close()
        self._store.close()

    def begin(self, helper: Helper, context: ActionContext, text: str) -> Coroutine[Any, Any, ActionRecord]:
        """Answer one call. Never raises."""
        return self._answer(helper, context, text)

    async def _answer(self, helper: Helper, context: ActionContext, text: str) -> ActionRecord:
        arguments = decode_arguments(helper, text)
        if isinstance(arguments, Failed):
            record = _record(helper, arguments)
        elif helper.name in TARGETS:
            record = _record(helper, self._kill(helper, context, arguments))
        else:
            record = await self._perform(helper, context, text)
        given = () if isinstance(arguments, Failed) else arguments
        self._on_call(DryCall(context.detection.event.uuid, context.reaction, helper.name, given, record))
        return record

    async def _perform(self, helper: Helper, context: ActionContext, text: str) -> ActionRecord:
        # Recordings go faster than the minutes that budgets count.
        services = replace(context.services, dry_store=self._store, network=lambda: self._network, budgets=Budgets())
        # What is blocked is in memory alone, so that it can be.
        imagined = helper.name in _OF_NETWORK
        begun = super().begin(helper, replace(context, dry_run=not imagined, services=services), text)
        record = begun if isinstance(begun, ActionRecord) else await begun
        if not imagined or record.decision != "done":
            return record
        return msgspec.structs.replace(record, decision="would")

    def _kill(self, helper: Helper, context: ActionContext, arguments: Arguments) -> Result:
        key = TARGETS[helper.name](context, arguments)
        if isinstance(key, Failed | Refused):
            return key
        details = {"pid": key.pid}
        if key.pid == 1:
            return Refused("pid 1 is never killed", details)
        program = _protected(context, key.pid)
        if program is not None:
            return Refused(f"pid {key.pid} runs the protected program {program}", details)
        killed = self._killed[context.detection.event.uuid, context.reaction]
        tree = helper.name == "KillTree"
        if key.pid in killed:
            reason = f"pid {key.pid} is already gone"
            return Failed(reason, details) if tree else Done(1, reason, details)
        killed.add(key.pid)
        return Done(1 if tree else 0, details=details)


def _protected(context: ActionContext, pid: int) -> str | None:
    """Return the protected program that a process of the event runs, by its path, in the mount namespace of pid 1."""
    by_pid: Mapping[int, Process] = {process.pid: process for process in context.detection.ancestry}
    process, first = by_pid.get(pid), by_pid.get(1)
    if process is None or process.uid > _LAST_SYSTEM_UID:
        return None
    mounts, of_host = process.namespaces.mnt_ns, first.namespaces.mnt_ns if first is not None else 0
    if mounts and of_host and mounts != of_host:
        return None
    path = process.image.exe.decode("utf-8", "replace")
    return path if path in context.services.settings.protected_programs else None


def _record(helper: Helper, result: Result) -> ActionRecord:
    decision: Decision = "refused" if isinstance(result, Refused) else "would" if isinstance(result, Done) else "error"
    value = result.value if isinstance(result, Done) else None
    return ActionRecord(helper.name, decision, value, result.reason, boottime_ns(), describe_target(result.details))
