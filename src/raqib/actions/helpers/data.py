"""Helpers over the recipe's own data, and over the data that all recipes share."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import wraps

import msgspec

from raqib.actions.context import ActionContext, Services
from raqib.actions.declare import Argument, Arguments, Checked, Done, Failed, Helper, Plan, Result, Undo, Value
from raqib.actions.store import SHARED_NAMESPACE, StoreError
from raqib.ledger.chain import Entry

DEFAULT_LIST = "default"
"""The key of the list that is meant if none is named."""

_KEY = Argument("key", "string")
_LIST = Argument("key", "string", optional=True)
_VALUE = Argument("value", "string", may_be_empty=True, content=True)
_BY = Argument("by", "number", optional=True)
_TTL = Argument("ttlSeconds", "number", optional=True)

_MAX_LISTED = 1 << 20

_Work = Callable[[ActionContext, str, Arguments], "Value | Done"]
"""Gets the namespace and the arguments."""
_Check = Callable[[ActionContext, Arguments], Checked]


def _query(work: _Work, namespace: str = "") -> _Check:
    """Make a check of a function that only reads."""

    @wraps(work)
    def check(context: ActionContext, arguments: Arguments) -> Checked:
        return _run(work, context, namespace, arguments)

    return check


def _change(work: _Work, namespace: str = "") -> _Check:
    """Make a check of a function that changes the store. A dry run changes the one that stands in for it."""

    @wraps(work)
    def check(context: ActionContext, arguments: Arguments) -> Checked:
        if not context.dry_run:
            return Plan(lambda: _run(work, context, namespace, arguments), would=None)
        match _run(work, context, namespace, arguments):
            case Done(value):
                return Plan(lambda: Done(value), would=value)
            case problem:
                return problem

    return check


def _run(work: _Work, context: ActionContext, namespace: str, arguments: Arguments) -> Result:
    try:
        value = work(context, namespace or context.recipe, arguments)
    except StoreError as error:
        return Failed(str(error))
    except sqlite3.Error as error:
        return Failed(f"the data store failed: {error}")
    return value if isinstance(value, Done) else Done(value)


def _get(context: ActionContext, namespace: str, arguments: Arguments) -> Value | Done:
    value = context.store.get(namespace, arguments[0])
    return Done("", "no such key") if value is None else value


def _set(context: ActionContext, namespace: str, arguments: Arguments) -> Value:
    context.store.set(namespace, *arguments)
    return 0


def _delete(context: ActionContext, namespace: str, arguments: Arguments) -> Value:
    context.store.delete(namespace, arguments[0])
    return 0


def _increment(context: ActionContext, namespace: str, arguments: Arguments) -> Value:
    return context.store.increment(namespace, *arguments)


def _undo_increment(services: Services, entry: Entry, namespace: str) -> Result:
    key, by = entry.arguments["key"], entry.arguments.get("by", 1)
    if services.store.get(namespace, key) is None:
        return Failed(f"there is no key {key!r} any more")
    return Done(services.store.increment(namespace, key, -by))


def _push(context: ActionContext, namespace: str, arguments: Arguments) -> Value:
    *key, value = arguments
    context.store.push(namespace, key[0] if key else DEFAULT_LIST, value)
    return 0


def _pop(context: ActionContext, namespace: str, arguments: Arguments) -> Value | Done:
    value = context.store.pop(namespace, arguments[0] if arguments else DEFAULT_LIST)
    return Done("", "the list is empty") if value is None else value


def _clear(context: ActionContext, namespace: str, arguments: Arguments) -> Value:
    context.store.clear(namespace)
    return 0


def _has_key(context: ActionContext, namespace: str, arguments: Arguments) -> Value:
    return context.store.has(namespace, arguments[0])


def _has_value(context: ActionContext, namespace: str, arguments: Arguments) -> Value:
    return context.store.has_value(namespace, arguments[0])


def _keys(context: ActionContext, namespace: str, arguments: Arguments) -> Value:
    listed = msgspec.json.encode(context.store.keys(namespace)).decode()
    if len(listed) > _MAX_LISTED:
        raise StoreError(f"expected keys that take at most {_MAX_LISTED} characters together, there are more")
    return listed


def _values(context: ActionContext, namespace: str, arguments: Arguments) -> Value:
    return msgspec.json.encode(context.store.values(namespace, _MAX_LISTED)).decode()


def _size(context: ActionContext, namespace: str, arguments: Arguments) -> Value:
    return context.store.size(namespace)


def _is_empty(context: ActionContext, namespace: str, arguments: Arguments) -> Value:
    return context.store.size(namespace) == 0


def _reading(name: str, error: str, work: _Work, arguments: tuple[Argument, ...] = (), namespace: str = "") -> Helper:
    return Helper(name, arguments, error=error, check=_query(work, namespace), place="store", query=True)


def _changing(
    name: str, work: _Work, arguments: tuple[Argument, ...] = (), *, error: str = "-1", namespace: str = ""
) -> Helper:
    return Helper(name, arguments, error=error, check=_change(work, namespace), place="store")


def _incrementing(name: str, namespace: str = "") -> Helper:
    return Helper(
        name,
        (_KEY, _BY, _TTL),
        error="NaN",
        check=_change(_increment, namespace),
        place="store",
        undo=Undo(
            "takes off again what was added",
            lambda services, entry: _undo_increment(services, entry, namespace or entry.recipe),
        ),
    )


HELPERS = (
    _changing("DataSet", _set, (_KEY, _VALUE, _TTL)),
    _reading("DataGet", '""', _get, (_KEY,)),
    _changing("DataDelete", _delete, (_KEY,)),
    _incrementing("DataIncr"),
    _changing("DataPush", _push, (_LIST, _VALUE)),
    Helper("DataPop", (_LIST,), error='""', check=_change(_pop), place="store", content_result=True),
    _reading("DataKeys", '"[]"', _keys),
    _reading("DataValues", '"[]"', _values),
    _changing("DataClear", _clear),
    _reading("DataSize", "-1", _size),
    _reading("DataIsEmpty", "false", _is_empty),
    _reading("DataHasKey", "false", _has_key, (_KEY,)),
    _reading("DataHasValue", "false", _has_value, (_VALUE,)),
    _changing("SharedSet", _set, (_KEY, _VALUE, _TTL), namespace=SHARED_NAMESPACE),
    _reading("SharedGet", '""', _get, (_KEY,), namespace=SHARED_NAMESPACE),
    _incrementing("SharedIncr", SHARED_NAMESPACE),
    _changing("SharedDelete", _delete, (_KEY,), namespace=SHARED_NAMESPACE),
)
