"""Helpers over the recipe's own data."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import wraps

import msgspec

from raqib.actions.context import ActionContext, Services
from raqib.actions.declare import Argument, Arguments, Checked, Done, Failed, Helper, Plan, Result, Undo, Value
from raqib.actions.ledger import Entry
from raqib.actions.store import StoreError

_KEY = Argument("key", "string")
_VALUE = Argument("value", "string", may_be_empty=True, content=True)
_TTL = Argument("ttlSeconds", "number", optional=True)

_MAX_LISTED = 1 << 20

_Work = Callable[[ActionContext, Arguments], "Value | Done"]


def _query(work: _Work) -> Callable[[ActionContext, Arguments], Checked]:
    """Make a check of a function that only reads."""

    @wraps(work)
    def check(context: ActionContext, arguments: Arguments) -> Checked:
        return _run(work, context, arguments)

    return check


def _change(work: _Work) -> Callable[[ActionContext, Arguments], Checked]:
    """Make a check of a function that changes the store. A dry run changes the one that stands in for it."""

    @wraps(work)
    def check(context: ActionContext, arguments: Arguments) -> Checked:
        if not context.dry_run:
            return Plan(lambda: _run(work, context, arguments), would=None)
        match _run(work, context, arguments):
            case Done(value):
                return Plan(lambda: Done(value), would=value)
            case problem:
                return problem

    return check


def _run(work: _Work, context: ActionContext, arguments: Arguments) -> Result:
    try:
        value = work(context, arguments)
    except StoreError as error:
        return Failed(str(error))
    except sqlite3.Error as error:
        return Failed(f"the data store failed: {error}")
    return value if isinstance(value, Done) else Done(value)


def _get(context: ActionContext, arguments: Arguments) -> Value | Done:
    value = context.store.get(context.recipe, arguments[0])
    return Done("", "no such key") if value is None else value


def _set(context: ActionContext, arguments: Arguments) -> Value:
    context.store.set(context.recipe, *arguments)
    return 0


def _delete(context: ActionContext, arguments: Arguments) -> Value:
    context.store.delete(context.recipe, arguments[0])
    return 0


def _increment(context: ActionContext, arguments: Arguments) -> Value:
    return context.store.increment(context.recipe, *arguments)


def _undo_increment(services: Services, entry: Entry) -> Result:
    key, by = entry.arguments["key"], entry.arguments.get("by", 1)
    if services.store.get(entry.recipe, key) is None:
        return Failed(f"there is no key {key!r} any more")
    return Done(services.store.increment(entry.recipe, key, -by))


def _has_key(context: ActionContext, arguments: Arguments) -> Value:
    return context.store.get(context.recipe, arguments[0]) is not None


def _keys(context: ActionContext, arguments: Arguments) -> Value:
    listed = msgspec.json.encode(context.store.keys(context.recipe)).decode()
    if len(listed) > _MAX_LISTED:
        raise StoreError(f"expected keys that take at most {_MAX_LISTED} characters together, there are more")
    return listed


def _size(context: ActionContext, arguments: Arguments) -> Value:
    return context.store.size(context.recipe)


HELPERS = (
    Helper("DataSet", (_KEY, _VALUE, _TTL), check=_change(_set), place="store"),
    Helper("DataGet", (_KEY,), error='""', check=_query(_get), place="store", query=True),
    Helper("DataDelete", (_KEY,), check=_change(_delete), place="store"),
    Helper(
        "DataIncr",
        (_KEY, Argument("by", "number", optional=True), _TTL),
        error="NaN",
        check=_change(_increment),
        place="store",
        undo=Undo("takes off again what was added", _undo_increment),
    ),
    Helper("DataHasKey", (_KEY,), error="false", check=_query(_has_key), place="store", query=True),
    Helper("DataKeys", error='"[]"', check=_query(_keys), place="store", query=True),
    Helper("DataSize", check=_query(_size), place="store", query=True),
)
