"""How a helper is declared: one small unit with a name, its arguments, its error value and its action.

A helper's `check` looks at the arguments and the guards and answers with what is to happen: a `Plan` that does it,
or at once `Done`, `Refused` or `Failed`. Nothing has an effect on the host before `Plan.do`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from raqib.model.execution import Budget

if TYPE_CHECKING:
    from raqib.actions.context import ActionContext, Services
    from raqib.ledger.chain import Entry

Value: TypeAlias = "str | int | float | bool | dict[str, Any] | None"
"""What a helper returns: anything that JSON can carry."""

Arguments: TypeAlias = "tuple[Any, ...]"
"""As checked against the declaration; omitted ones are not there."""

Place = Literal["loop", "files", "store"]
"""Where an action runs: in the event loop (it never blocks), or in one of the two thread pools."""


def _nothing() -> None:
    """Release nothing."""


@dataclass(frozen=True, slots=True)
class Done:
    """It was done, or there was nothing to do; `reason` says so in the latter case."""

    value: Value
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """A guard said no."""

    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """It was tried, or asked for in a wrong way, and did not work."""

    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)


Result: TypeAlias = "Done | Refused | Failed"


@dataclass(frozen=True, slots=True)
class Plan:
    """An action that all guards allow."""

    do: Callable[[], Result | Awaitable[Result]]
    """Does it. Only actions of the event loop may answer with an awaitable."""
    would: Value
    """What the helper answers in a dry run, if it need not `look`."""
    look: Callable[[], Result | Awaitable[Result]] | None = None
    """Finds out what it answers in a dry run, where that takes its time. Stands in for `do`, and changes nothing."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What the ledger says of the target beside the arguments."""
    cost: int = 1
    """What is taken from the helper's budget."""
    paid: bool = False
    """The check has taken all that this costs from the recipe's budget."""
    release: Callable[[], None] = _nothing
    """Called in any case, after `do` or instead of it."""


Checked: TypeAlias = "Plan | Done | Refused | Failed"


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a helper."""

    name: str
    kind: Literal["string", "integer", "number", "object"]
    optional: bool = False
    may_be_empty: bool = False
    """For strings: whether `""` is a value, not a mistake."""
    content: bool = False
    """The ledger gets its size and hash instead of itself."""


@dataclass(frozen=True, slots=True)
class Description:
    """A helper in words: for the reference page and for editors. A test runs the example."""

    summary: str
    result: str
    """What it returns, and when."""
    errors: str
    """What its error value may stand for."""
    example: str
    """A body of `process(data)`."""
    prints: str
    """What the example logs."""
    type: str = "number"
    """Of the result, in TypeScript."""


UNDESCRIBED = Description("", "", "", "", "")

DONE_OR_NOT = "0: done. -1: not done"
"""The result of most helpers, in words."""


@dataclass(frozen=True, slots=True)
class Undo:
    """How what a call did is taken back, by somebody at the command line."""

    says: str
    """What it does, in words."""
    do: Callable[[Services, Entry], Result]
    """Gets the call's line of the ledger. May block."""


@dataclass(frozen=True, slots=True)
class Helper:
    """A function that reactions can call."""

    name: str
    arguments: tuple[Argument, ...] = ()
    _: KW_ONLY
    about: Description = UNDESCRIBED
    error: str = "-1"
    """What it returns when it does not succeed, as a JavaScript literal."""
    check: Callable[[ActionContext, Arguments], Checked] | None = None
    """None: declared, but not available; `unavailable` says why."""
    unavailable: str = "network policy is not enabled"
    place: Place = "loop"
    budget: Budget | None = None
    """Which of the recipe's budgets a call takes from."""
    query: bool = False
    """It only reads the recipe's own store: no line in the ledger unless it was refused."""
    content_result: bool = False
    """The ledger gets the result's size and hash instead of itself."""
    survives_ledger_failure: bool = False
    """It is done even if the ledger cannot be written."""
    undo: Undo | None = None
    """None: what was done cannot be taken back."""

    @property
    def required(self) -> int:
        """The number of arguments that cannot be omitted."""
        return sum(not argument.optional for argument in self.arguments)

    def accepted(self, count: int) -> tuple[Argument, ...]:
        """Return which of the arguments so many values are: where the first can be omitted, it is the one left out."""
        if self.arguments and self.arguments[0].optional and not self.arguments[-1].optional:
            return self.arguments[-count:] if count else ()
        return self.arguments[:count]
