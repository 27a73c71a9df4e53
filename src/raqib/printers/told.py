"""What was done, one line an action: the same for outcomes, replays and explanations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from rich.style import Style

from raqib.model.event import Event
from raqib.printers.escape import visible
from raqib.printers.layout import FAINT, LABEL_COLUMNS, PLAIN, STRONG, Layout, Part

_WROTE = frozenset({"WriteFile", "AppendFile", "CollectEvidence"})
_LOOKS = {
    "done": Style(color="green", bold=True),
    "wrote": Style(color="green", bold=True),
    "ok": FAINT,
    "would": Style(color="cyan"),
    "refused": Style(color="yellow", bold=True),
}
_WRONG = Style(color="red", bold=True)

_FIRST, _LAST = 20, 10
"""So many actions of a reaction are shown, of those that it began and ended with."""
_LONGEST_VALUE = 60
_LONGEST_REASON = 1000
_SHORTEST_TARGET = 20
_NS_PER_MS = 1e6


class ActionTold(NamedTuple):
    """One action, as people are told of it."""

    decision: str
    action: str
    """The helper's name."""
    target: str = ""
    """What it was done to."""
    reason: str = ""
    value: Any = None
    """What the helper returned."""
    after_ms: float | None = None
    """Since the kernel's event."""
    note: str = ""


class _Timings(msgspec.Struct, frozen=True):
    seen_ns: int | None = None


class _Action(msgspec.Struct):
    action: str
    decision: str
    value: Any = None
    reason: str = ""
    target: str = ""
    ended_ns: int = 0


class _Reaction(msgspec.Struct):
    outcome: str
    error: str = ""
    reaction: int = 0
    timings: _Timings = _Timings()
    actions: list[_Action] = []


def action_line(layout: Layout, told: ActionTold) -> str:
    """Return the line of an action, as `done     KillCurrent pid 22974  +1.6 ms`."""
    word, name = told.decision, visible(told.action)
    if word == "done" and told.action in _WROTE:
        word, name = "wrote", ""
    after = "" if told.after_ms is None else f"  +{told.after_ms:.1f} ms"
    after += f"  {visible(told.note)}" if told.note else ""
    value = _value(told)
    target, reason = visible(told.target), visible(told.reason, _LONGEST_REASON)
    if target and reason.startswith(target):
        # As "pid 7 is already gone" does.
        target, reason = reason, ""
    elif not reason:
        room = layout.room(LABEL_COLUMNS + len(name) + 1 + len(value) + len(after))
        target = layout.cut(target, None if room is None else max(room, _SHORTEST_TARGET))
    what = f" {target}" if name and target else target
    why = f": {reason}" if reason and (name or what) else reason
    parts: list[Part] = [(name, STRONG), (what, PLAIN), (why, PLAIN), (value, PLAIN), (after, FAINT)]
    return layout.labelled(visible(word), [part for part in parts if part[0]], _LOOKS.get(word, _WRONG))


def outcome_lines(layout: Layout, event: Event) -> Iterator[str]:
    """Yield the lines of an outcome: those of each reaction's actions, and how it ended, where that was not well."""
    raw = (event.fields or {}).get("reactions")
    try:
        reactions = msgspec.json.decode(raw or b"[]", type=list[_Reaction])
    except msgspec.MsgspecError:
        yield layout.labelled("outcome", [(visible(bytes(raw or b"").decode(errors="replace")), PLAIN)])
        return
    for reaction in reactions:
        yield from reaction_lines(
            layout,
            reaction.outcome,
            reaction.error,
            [_told(action, reaction.timings.seen_ns) for action in reaction.actions],
        )


def reaction_lines(layout: Layout, outcome: str, error: str, actions: Sequence[ActionTold]) -> Iterator[str]:
    """Yield what one reaction did and how it ended."""
    left_out = len(actions) - _FIRST - _LAST
    first, last = (actions, ()) if left_out <= 0 else (actions[:_FIRST], actions[-_LAST:])
    for told in first:
        yield action_line(layout, told)
    if left_out > 0:
        yield layout.labelled("…", [(f"{left_out} more", FAINT)])
        for told in last:
            yield action_line(layout, told)
    if outcome != "ok":
        yield layout.labelled(visible(outcome), [(visible(error, 4000), PLAIN)], _LOOKS.get(outcome, _WRONG))
    elif not actions:
        yield layout.labelled("ok", [("nothing was done", PLAIN)], _LOOKS["ok"])


def _told(action: _Action, seen_ns: int | None) -> ActionTold:
    after_ms = (action.ended_ns - seen_ns) / _NS_PER_MS if seen_ns and action.ended_ns else None
    return ActionTold(action.decision, action.action, action.target, action.reason, action.value, after_ms)


def _value(told: ActionTold) -> str:
    """Return what the helper returned, where that says more than that it worked."""
    value = told.value
    if told.reason or value in (None, "", told.target) or value is True or (value == 0 and value is not False):
        return ""
    text = msgspec.json.encode(value).decode(errors="replace")
    return f" → {visible(text, _LONGEST_VALUE)}"
