"""The door for sample events and recordings: their processes are not on this host, so kills and blocks are imagined."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, NamedTuple

from raqib.actions.arguments import decode_arguments, describe_arguments
from raqib.actions.context import ActionContext
from raqib.actions.declare import Failed, Helper
from raqib.actions.ledger import Decision
from raqib.actions.perform import ActionRecord, Door
from raqib.actions.store import Store
from raqib.actions.target import describe_target
from raqib.model.clock import boottime_ns

_KILLED: dict[str, int] = {"KillTree": 1}
"""What a helper answers if all goes well, where that is not 0."""


class RehearsedCall(NamedTuple):
    """A helper call that would have been made."""

    uuid: str
    """The event's."""
    reaction: int
    name: str
    arguments: tuple[Any, ...]
    record: ActionRecord


class RehearsalDoor(Door):
    """Does nothing to the host: calls are checked, remembered, and answered as if they had been done.

    Contexts must be dry. What acts on processes or addresses (whatever has a budget) is not looked for on this host.
    """

    def __init__(self, on_call: Callable[[RehearsedCall], None]) -> None:
        super().__init__()
        self._on_call = on_call
        self._store = Store(None)

    def forget_data(self) -> None:
        """Begin with an empty store."""
        self._store.close()
        self._store = Store(None)

    def close(self) -> None:
        """Let go of threads and store."""
        super().close()
        self._store.close()

    def begin(self, helper: Helper, context: ActionContext, text: str) -> Coroutine[Any, Any, ActionRecord]:
        """Answer one call. Never raises."""
        return self._rehearse(helper, context, text)

    async def _rehearse(self, helper: Helper, context: ActionContext, text: str) -> ActionRecord:
        arguments = decode_arguments(helper, text)
        if helper.budget is None or helper.check is None:
            context = replace(context, dry_run=True, services=replace(context.services, dry_store=self._store))
            begun = super().begin(helper, context, text)
            record = begun if isinstance(begun, ActionRecord) else await begun
        elif isinstance(arguments, Failed):
            record = _record(helper, "error", None, arguments.reason)
        else:
            target = describe_target({**describe_arguments(helper, arguments), **_victim(helper, context)})
            record = _record(helper, "would", _KILLED.get(helper.name, 0), "", target)
        given = () if isinstance(arguments, Failed) else arguments
        self._on_call(RehearsedCall(context.detection.event.uuid, context.reaction, helper.name, given, record))
        return record


def _record(helper: Helper, decision: Decision, value: Any, reason: str, target: str = "") -> ActionRecord:
    return ActionRecord(helper.name, decision, value, reason, boottime_ns(), target)


def _victim(helper: Helper, context: ActionContext) -> dict[str, int]:
    """Return whom a kill without arguments is about."""
    detection = context.detection
    victim = {"KillCurrent": detection.process, "KillParent": detection.parent}.get(helper.name)
    return {} if victim is None else {"pid": victim.pid}
