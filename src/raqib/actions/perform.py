"""The one door to all actions: check, do or refuse, ledger."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Coroutine
from dataclasses import replace
from typing import Any

import msgspec

from raqib.actions.arguments import decode_arguments, describe_arguments, size_and_hash
from raqib.actions.context import ActionContext
from raqib.actions.declare import Arguments, Checked, Done, Failed, Helper, Plan, Refused, Result, Value
from raqib.actions.target import describe_target
from raqib.actions.threads import FILE_THREADS, LeftBehindError, Threads
from raqib.ledger.chain import Entry
from raqib.model.clock import boottime_ns
from raqib.model.execution import ActionRecord, Decision

MAX_REASON = 512
"""In characters: reasons repeat what a reaction gave as an argument, and both memory and the ledger keep them."""

MAX_REASON_OF_MANY = 64
"""In the ledger, of the many that one execution was refused."""


_ENCODER = msgspec.json.Encoder()


class Door:
    """Performs helper calls. Actions that may block run in threads, files and data store apart from each other."""

    def __init__(self) -> None:
        self._pools = {
            "files": Threads(FILE_THREADS, "raqib-files", leave=True),
            "store": Threads(1, "raqib-store", leave=False),
        }

    def close(self) -> None:
        """Let go of the threads; calls that have not begun are not begun any more."""
        for pool in self._pools.values():
            pool.close()

    async def perform(self, helper: Helper, context: ActionContext, text: str) -> ActionRecord:
        """Perform one call, whose arguments are a JSON array, and write the ledger. Never raises."""
        begun = self.begin(helper, context, text)
        return begun if isinstance(begun, ActionRecord) else await begun

    def begin(
        self, helper: Helper, context: ActionContext, text: str
    ) -> ActionRecord | Coroutine[Any, Any, ActionRecord]:
        """Perform one call as far as it goes without waiting: return what became of it, or what is left to await."""
        if helper.place != "loop":
            return self._in_thread(helper, context, text)
        call = _Call(helper, context, text)
        try:
            plan = call.decide()
            result = call.do(plan) if isinstance(plan, Plan) else plan
        except Exception as error:
            result = _broken(error)
        return call.conclude(result) if isinstance(result, Done | Refused | Failed) else _await(call, result)

    async def _in_thread(self, helper: Helper, context: ActionContext, text: str) -> ActionRecord:
        try:
            return await self._pools[helper.place].run(context.recipe, _perform_blocking, helper, context, text)
        except LeftBehindError as error:
            return refuse(helper.name, context, str(error))


def refuse(helper_name: str, context: ActionContext, reason: str) -> ActionRecord:
    """Write a call into the ledger that was not even looked at."""
    call = _Call(Helper(helper_name), context, "[]")
    return call.conclude(Refused(reason))


def _perform_blocking(helper: Helper, context: ActionContext, text: str) -> ActionRecord:
    call = _Call(helper, context, text)
    try:
        plan = call.decide()
        result = plan if not isinstance(plan, Plan) else call.do_blocking(plan)
    except Exception as error:
        result = _broken(error)
    return call.conclude(result)


async def _released(rest: Awaitable[Result], plan: Plan) -> Result:
    try:
        return await rest
    finally:
        plan.release()


async def _await(call: _Call, rest: Awaitable[Result]) -> ActionRecord:
    try:
        result = await rest
    except Exception as error:
        result = _broken(error)
    return call.conclude(result)


def _shortened(reason: str, most: int = MAX_REASON) -> str:
    return reason if len(reason) <= most else f"{reason[: most - 1]}…"


def _broken(error: Exception) -> Failed:
    return Failed(f"internal error: {type(error).__name__}: {error}")


class _Call:
    """One call on its way."""

    def __init__(self, helper: Helper, context: ActionContext, text: str) -> None:
        self._helper = helper
        self._context = context.now()
        self._text = text
        self._started_ns = time.monotonic_ns()
        self._arguments: Arguments = ()
        self._details: dict[str, Any] = {} if context.services.switch.armed else {"disarmed": True}
        self._would = False

    def decide(self) -> Checked:
        """Return the plan if everything allows it."""
        helper, context = self._helper, self._context
        if helper.check is None:
            return Refused(helper.unavailable)
        arguments = decode_arguments(helper, self._text)
        if isinstance(arguments, Failed):
            return arguments
        self._arguments = arguments
        if not helper.survives_ledger_failure and not context.services.ledger.writable():
            return Refused(f"the ledger cannot be written ({context.services.ledger.failure})")
        checked = helper.check(context, arguments)
        self._details.update(checked.details)
        if not isinstance(checked, Plan):
            return checked
        refused = None if checked.paid else self._take_from_budget(checked.cost)
        if refused is None and not context.dry_run:
            return checked
        self._would = refused is None
        if refused is None and checked.look is not None:
            return replace(checked, do=checked.look)
        checked.release()
        return refused or Done(checked.would)

    def do(self, plan: Plan) -> Result | Awaitable[Result]:
        """Carry out a plan of the event loop, as far as it goes without waiting."""
        try:
            result = plan.do()
        except BaseException:
            plan.release()
            raise
        if isinstance(result, Done | Refused | Failed):
            plan.release()
            return result
        return _released(result, plan)

    def do_blocking(self, plan: Plan) -> Result:
        """Carry out a plan in a thread."""
        try:
            result = plan.do()
        finally:
            plan.release()
        if not isinstance(result, Done | Refused | Failed):
            raise TypeError(f"{self._helper.name}: only actions of the event loop may be awaited")
        return result

    def conclude(self, result: Result | Plan) -> ActionRecord:
        """Write the ledger and return what became of the call."""
        decision: Decision
        value: Value = None
        match result:
            case Done():
                decision, value = ("would" if self._would else "done"), result.value
            case Refused():
                decision = "refused"
            case _:
                decision = "error"
        reason = "" if isinstance(result, Plan) else _shortened(result.reason)
        self._details.update(result.details)
        if not (self._helper.query and decision != "refused"):
            self._write(decision, reason, value)
        return ActionRecord(self._helper.name, decision, value, reason, boottime_ns(), self._target())

    def _target(self) -> str:
        given = zip(self._helper.accepted(len(self._arguments)), self._arguments, strict=True)
        return describe_target({**{one.name: value for one, value in given if not one.content}, **self._details})

    def _write(self, decision: Decision, reason: str, value: Value) -> None:
        context, detection = self._context, self._context.detection
        undone = decision in ("refused", "error")
        context.undone.count += undone
        brief = undone and context.undone.many
        context.services.ledger.append(
            Entry(
                uuid=detection.event.uuid,
                kind=detection.recipe.kind,
                recipe=detection.recipe.name,
                reaction=context.reaction,
                action=self._helper.name,
                arguments={} if brief else self._described(),
                decision=decision,
                reason=_shortened(reason, MAX_REASON_OF_MANY) if brief else reason,
                result=size_and_hash(value) if self._helper.content_result and value is not None else value,
                duration_us=(time.monotonic_ns() - self._started_ns) // 1000,
            )
        )

    def _described(self) -> dict[str, Any]:
        """Return the arguments and details as the ledger shows them, or, of too many, their size and hash."""
        described = {**describe_arguments(self._helper, self._arguments), **self._details}
        if self._helper.budget in ("kills", "blocks"):
            # They are few anyhow, and matter most.
            return described
        try:
            size = len(_ENCODER.encode(described))
        except (TypeError, ValueError):
            # The ledger says of it what can be said.
            return described
        return described if self._context.has_room_in_ledger(size) else {"left_out": size_and_hash(described)}

    def _take_from_budget(self, cost: int) -> Refused | None:
        helper, context = self._helper, self._context
        if helper.budget is None or context.spend(helper.budget, cost):
            return None
        return Refused(context.used_up(helper.budget))
