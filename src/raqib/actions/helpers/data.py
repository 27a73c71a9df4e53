"""Helpers over the recipe's own data, and over the data that all recipes share."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import wraps

import msgspec

from raqib.actions.context import ActionContext, Services
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
    Result,
    Undo,
    Value,
)
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


def _reading(
    name: str, error: str, work: _Work, arguments: tuple[Argument, ...] = (), *, about: Description, namespace: str = ""
) -> Helper:
    return Helper(name, arguments, about=about, error=error, check=_query(work, namespace), place="store", query=True)


def _changing(
    name: str, work: _Work, arguments: tuple[Argument, ...] = (), *, about: Description, namespace: str = ""
) -> Helper:
    return Helper(name, arguments, about=about, check=_change(work, namespace), place="store")


def _incrementing(name: str, namespace: str = "", *, about: Description) -> Helper:
    return Helper(
        name,
        (_KEY, _BY, _TTL),
        about=about,
        error="NaN",
        check=_change(_increment, namespace),
        place="store",
        undo=Undo(
            "takes off again what was added",
            lambda services, entry: _undo_increment(services, entry, namespace or entry.recipe),
        ),
    )


_ERRORS = "a limit of size; the key holds the other kind (text or list)"

HELPERS = (
    _changing(
        "DataSet",
        _set,
        (_KEY, _VALUE, _TTL),
        about=Description(
            summary=(
                "Gives a key of the recipe's own data a text, for `ttlSeconds` or for ever. It is on the disk when"
                " it returns."
            ),
            result=DONE_OR_NOT,
            errors=_ERRORS,
            example="DataSet('last', data.process.exe, 3600);\nInfo(DataGet('last') === data.process.exe);",
            prints="true",
        ),
    ),
    _reading(
        "DataGet",
        '""',
        _get,
        (_KEY,),
        about=Description(
            summary="Returns the text of a key.",
            result='The text, `""` if there is no such key',
            errors="no such key; the key holds a list",
            example="DataSet('a', '1');\nInfo(DataGet('a'), DataGet('b') === '', Errno());",
            prints="1 true no such key",
            type="string",
        ),
    ),
    _changing(
        "DataDelete",
        _delete,
        (_KEY,),
        about=Description(
            summary="Removes a key; a list whole.",
            result="0: it is not there (any more). -1: not done",
            errors="the ledger or the store cannot be written",
            example="DataSet('a', '1');\nInfo(DataDelete('a'), DataDelete('a'), DataHasKey('a'));",
            prints="0 0 false",
        ),
    ),
    _incrementing(
        "DataIncr",
        about=Description(
            summary=(
                "Adds to a number, 1 if nothing else is said, as one step also between reactions that run in"
                " parallel. Without"
                " `ttlSeconds` the key keeps the end that it has."
            ),
            result="The new number, NaN on error",
            errors=f"the key holds no number; the sum is too large; {_ERRORS}",
            example="Info(DataIncr('seen'), DataIncr('seen', 2.5), DataGet('seen'));",
            prints="1 3.5 3.5",
        ),
    ),
    _changing(
        "DataPush",
        _push,
        (_LIST, _VALUE),
        about=Description(
            summary="Adds a text to the end of a list; without a key to the list of the key `default`.",
            result=DONE_OR_NOT,
            errors=_ERRORS,
            example=(
                "DataPush('pids', String(data.process.pid));\nDataPush('one');\nDataPush('two');\nInfo(DataKeys());"
            ),
            prints='["default","pids"]',
        ),
    ),
    Helper(
        "DataPop",
        (_LIST,),
        error='""',
        check=_change(_pop),
        place="store",
        content_result=True,
        about=Description(
            summary="Takes off the last text of a list. An emptied list vanishes.",
            result='The text, `""` if the list is empty',
            errors="the list is empty; the key holds a text",
            example="DataPush('one');\nDataPush('two');\nInfo(DataPop(), DataPop(), DataPop() === '', DataSize());",
            prints="two one true 0",
            type="string",
        ),
    ),
    _reading(
        "DataKeys",
        '"[]"',
        _keys,
        about=Description(
            summary="Returns all keys, in order.",
            result="A **string** that holds a JSON array",
            errors="more than 1 MiB",
            example="DataSet('b', '');\nDataSet('a', '');\nfor (const key of JSON.parse(DataKeys())) Info(key);",
            prints="a\nb",
            type="string",
        ),
    ),
    _reading(
        "DataValues",
        '"[]"',
        _values,
        about=Description(
            summary="Returns what all keys hold, in the order of the keys; a list as an array.",
            result="A **string** that holds a JSON array",
            errors="more than 1 MiB",
            example="DataSet('a', '1');\nDataPush('b', '2');\nInfo(DataValues());",
            prints='["1",["2"]]',
            type="string",
        ),
    ),
    _changing(
        "DataClear",
        _clear,
        about=Description(
            summary="Removes all keys of the recipe, lists included.",
            result="0: done. -1: not done",
            errors="the ledger or the store cannot be written",
            example="DataSet('a', '1');\nInfo(DataClear(), DataSize());",
            prints="0 0",
        ),
    ),
    _reading(
        "DataSize",
        "-1",
        _size,
        about=Description(
            summary="Returns the number of keys; a list is one.",
            result="The number, -1 on error",
            errors="the store cannot be read",
            example="DataPush('a');\nDataPush('b');\nInfo(DataSize());",
            prints="1",
        ),
    ),
    _reading(
        "DataIsEmpty",
        "false",
        _is_empty,
        about=Description(
            summary="Tells whether there are no keys.",
            result="true or false",
            errors="the store cannot be read",
            example="Info(DataIsEmpty());\nDataSet('a', '');\nInfo(DataIsEmpty());",
            prints="true\nfalse",
            type="boolean",
        ),
    ),
    _reading(
        "DataHasKey",
        "false",
        _has_key,
        (_KEY,),
        about=Description(
            summary="Tells whether there is such a key.",
            result="true or false",
            errors="the store cannot be read",
            example="DataSet('a', '');\nInfo(DataHasKey('a'), DataHasKey('b'));",
            prints="true false",
            type="boolean",
        ),
    ),
    _reading(
        "DataHasValue",
        "false",
        _has_value,
        (_VALUE,),
        about=Description(
            summary="Tells whether a key, or a list, holds that text.",
            result="true or false",
            errors="the store cannot be read",
            example="DataPush('seen', data.process.exe);\nInfo(DataHasValue(data.process.exe), DataHasValue('x'));",
            prints="true false",
            type="boolean",
        ),
    ),
    _changing(
        "SharedSet",
        _set,
        (_KEY, _VALUE, _TTL),
        namespace=SHARED_NAMESPACE,
        about=Description(
            summary="As DataSet, in the data that all recipes share.",
            result=DONE_OR_NOT,
            errors=_ERRORS,
            example="SharedSet('last', name, 60);\nInfo(SharedGet('last') === name, DataHasKey('last'));",
            prints="true false",
        ),
    ),
    _reading(
        "SharedGet",
        '""',
        _get,
        (_KEY,),
        namespace=SHARED_NAMESPACE,
        about=Description(
            summary="As DataGet, in the data that all recipes share.",
            result='The text, `""` if there is no such key',
            errors="no such key",
            example="SharedSet('stage', 'two');\nif (SharedGet('stage') === 'two') Info('seen before');",
            prints="seen before",
            type="string",
        ),
    ),
    _reading(
        "SharedHasKey",
        "false",
        _has_key,
        (_KEY,),
        namespace=SHARED_NAMESPACE,
        about=Description(
            summary="As DataHasKey, in the data that all recipes share: tells an empty text from none.",
            result="true or false",
            errors="the store cannot be read",
            example="SharedSet('seen', '');\nInfo(SharedHasKey('seen'), SharedHasKey('other'));",
            prints="true false",
            type="boolean",
        ),
    ),
    _incrementing(
        "SharedIncr",
        SHARED_NAMESPACE,
        about=Description(
            summary="As DataIncr, in the data that all recipes share.",
            result="The new number, NaN on error",
            errors=f"the key holds no number; {_ERRORS}",
            example="SharedDelete('hits');\nInfo(SharedIncr('hits', 1, 600));",
            prints="1",
        ),
    ),
    _changing(
        "SharedDelete",
        _delete,
        (_KEY,),
        namespace=SHARED_NAMESPACE,
        about=Description(
            summary="As DataDelete, in the data that all recipes share.",
            result="0: it is not there (any more). -1: not done",
            errors="the ledger or the store cannot be written",
            example="SharedSet('a', '1');\nInfo(SharedDelete('a'), SharedGet('a') === '');",
            prints="0 true",
        ),
    ),
)
