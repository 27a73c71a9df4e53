"""The helpers that take the host down. Two settings stand before each, and the ledger is on the disk first."""

from __future__ import annotations

import os
from collections.abc import Callable

from raqib.actions.context import ActionContext
from raqib.actions.declare import Arguments, Checked, Description, Failed, Helper, Plan, Refused, Result
from raqib.actions.settings import EmergencyHelper
from raqib.ledger.chain import Entry

Step = Callable[[ActionContext], Callable[[], None]]


def _check(name: EmergencyHelper, step: Step) -> Callable[[ActionContext, Arguments], Checked]:
    def check(context: ActionContext, arguments: Arguments) -> Checked:
        settings = context.services.emergency
        if not settings.enabled:
            return Refused("emergency helpers are switched off (emergency.enabled)")
        if name not in settings.helpers:
            return Refused(f"{name} is not among the emergency helpers that are allowed (emergency.helpers)")
        return Plan(lambda: _take_down(context, name, step(context)), would=0)

    return check


def _take_down(context: ActionContext, name: EmergencyHelper, last_step: Callable[[], None]) -> Result:
    ledger, recipe, uuid = context.services.ledger, context.detection.recipe, context.detection.event.uuid
    reason = f"{name} of recipe {recipe.name!r}, reaction {context.reaction}, for event {uuid}: the host goes down now"
    entry = Entry(
        uuid=uuid,
        kind=recipe.kind,
        recipe=recipe.name,
        reaction=context.reaction,
        action=name,
        decision="done",
        reason=reason,
        result=0,
    )
    if not ledger.append(entry):
        return Refused(f"the ledger cannot be written ({ledger.failure})")
    context.services.on_emergency(reason)
    try:
        ledger.sync()
        os.sync()
        if not context.services.switch.armed:
            return Refused("all actions were switched off meanwhile")
        last_step()
    except OSError as error:
        return Failed(f"the host is still up: {error.strerror or error}")
    return Failed("the host is still up")


HELPERS = (
    Helper(
        "PowerOff",
        check=_check("PowerOff", lambda context: context.services.machine.power_off),
        place="files",
        about=Description(
            summary=(
                "Switches the host off at once. Needs `emergency.enabled` and its name in `emergency.helpers`; the"
                " ledger is on"
                " the disk first."
            ),
            result="Nothing, as a rule: the host is off. 0 in a dry run. -1: refused",
            errors="switched off by the configuration; the ledger cannot be written",
            example="if (PowerOff() < 0) Info(Errno());",
            prints="emergency helpers are switched off (emergency.enabled)",
        ),
    ),
    Helper(
        "Panic",
        check=_check("Panic", lambda context: context.services.machine.panic),
        place="files",
        about=Description(
            summary=(
                "Has the kernel panic, for a dump or a restart as the host is set up. Needs `emergency.enabled` and"
                " its name in"
                " `emergency.helpers`; the ledger is on the disk first."
            ),
            result="Nothing, as a rule: the host is down. 0 in a dry run. -1: refused",
            errors="switched off by the configuration; the ledger cannot be written",
            example="if (Panic() < 0) Info(Errno());",
            prints="emergency helpers are switched off (emergency.enabled)",
        ),
    ),
)
