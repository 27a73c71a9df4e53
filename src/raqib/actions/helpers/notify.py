"""The helper that makes an event of its own."""

from __future__ import annotations

from typing import Any

import msgspec

from raqib.actions.context import ActionContext
from raqib.actions.declare import (
    DONE_OR_NOT,
    Argument,
    Arguments,
    Checked,
    Description,
    Done,
    Failed,
    Helper,
    Plan,
    Refused,
    Result,
)
from raqib.model.execution import Notice

MAX_NOTICES = 100
"""Of one execution."""
MAX_FIELDS_BYTES = 64 * 1024


def _notify(context: ActionContext, arguments: Arguments) -> Checked:
    title: str = arguments[0]
    fields: dict[str, Any] = arguments[1] if len(arguments) > 1 else {}
    if (size := len(msgspec.json.encode(fields))) > MAX_FIELDS_BYTES:
        return Failed(f"fields: expected at most {MAX_FIELDS_BYTES} bytes as JSON, got {size}")
    if len(context.notices) >= MAX_NOTICES:
        return Refused(f"the limit of {MAX_NOTICES} notices of one execution is reached")
    context.notices.append(title)

    def do() -> Result:
        context.services.on_notice(Notice(context.detection, context.reaction, title, fields))
        return Done(0)

    return Plan(do, would=0)


HELPERS = (
    Helper(
        "Notify",
        (Argument("title", "string"), Argument("fields", "object", optional=True, content=True)),
        check=_notify,
        budget="notices",
        about=Description(
            summary="Makes an event of its own, of the type `notify`, which goes to all printers.",
            result=DONE_OR_NOT,
            errors="more than 100 in one execution; the recipe's budget is used up; fields that take more than 64 KiB",
            example="Info(Notify('miner seen', { exe: data.process.exe, times: DataIncr('seen') }));",
            prints="0",
        ),
    ),
)
