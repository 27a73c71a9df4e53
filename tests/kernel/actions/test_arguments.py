"""Every helper of the table with wrong numbers and kinds of arguments, and with odd texts in each of its arguments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raqib.actions.declare import Argument, Helper
from raqib.actions.helpers.table import HELPERS

from .conftest import Acting

EVERY = pytest.mark.parametrize("helper", HELPERS.values(), ids=lambda helper: helper.name)

WRONG: dict[str, list[Any]] = {
    "string": [1, 1.5, True, None, [], {}, ["text"]],
    "integer": ["1", 1.5, True, None, [], {}, 2**53, -(2**60)],
    "number": ["1", True, None, [], {}],
    "object": ["{}", 1, True, None, []],
}


def good(helper: Helper, argument: Argument, act: Acting) -> Any:
    match argument.kind:
        case "string" if argument.name in ("path", "from"):
            return str(act.writable / "file")
        case "string" if argument.name == "toDir":
            return str(act.writable)
        case "string" if argument.name == "pattern":
            return "case-*"
        case "string":
            return "text"
        case "integer":
            # Of no process: the kernel gives no number away that is so high.
            return 2**31 - 1
        case "number":
            return 1
        case _:
            return {}


def with_value(helper: Helper, act: Acting, argument: Argument, value: Any) -> list[Any]:
    return [value if other is argument else good(helper, other, act) for other in helper.arguments]


@EVERY
def test_numbers_of_arguments(act: Acting, helper: Helper) -> None:
    arguments = [good(helper, argument, act) for argument in helper.arguments]
    for count in range(len(arguments) + 3):
        if helper.required <= count <= len(helper.arguments):
            continue
        record = act(helper.name, *[*arguments, 1, 1, 1][:count])
        if helper.check is None:
            assert "network policy is not enabled" == record.reason
            continue
        assert ("error", None) == (record.decision, record.value)
        assert f"got {count}" in record.reason


@EVERY
def test_kinds_of_arguments(act: Acting, helper: Helper) -> None:
    for argument in helper.arguments:
        for value in WRONG[argument.kind]:
            record = act(helper.name, *with_value(helper, act, argument, value))
            if helper.check is None:
                assert "network policy is not enabled" == record.reason
                continue
            assert ("error", None) == (record.decision, record.value), value
            assert f"{helper.name}: {argument.name}: expected a" in record.reason, value


@EVERY
@pytest.mark.parametrize("text", ["[", "", "{}", "1", "null", '["\\ud800"', "[NaN]", '["a",]', "[[[[", '"x"'])
def test_what_is_no_list_of_arguments(act: Acting, helper: Helper, text: str) -> None:
    record = act.call(helper.name, text)
    if helper.check is not None:
        assert ("error", None) == (record.decision, record.value)
        assert "expected" in record.reason


@EVERY
def test_empty_texts_and_nul(act: Acting, helper: Helper) -> None:
    for argument in helper.arguments:
        if argument.kind != "string" or helper.check is None:
            continue
        record = act(helper.name, *with_value(helper, act, argument, ""))
        if not argument.may_be_empty:
            assert ("error", True) == (record.decision, "not empty" in record.reason)
        record = act(helper.name, *with_value(helper, act, argument, "a\0b"))
        if not argument.content:
            assert ("error", True) == (record.decision, "without NUL" in record.reason)


@EVERY
def test_a_megabyte(act: Acting, helper: Helper) -> None:
    (act.writable / "file").touch()
    for argument in helper.arguments:
        if argument.kind != "string" or helper.check is None:
            continue
        record = act(helper.name, *with_value(helper, act, argument, "é" * (1 << 20)))
        if argument.content:
            assert "expected" in record.reason or record.succeeded
        else:
            assert ("error", True) == (record.decision, "at most 4096 characters" in record.reason)
        assert all(len(line) < 4096 for line in act.ledger_path.read_bytes().splitlines())


@EVERY
def test_unicode(act: Acting, helper: Helper) -> None:
    odd = "ü😀\u202e\x1b[31m\n\u0000".replace("\0", "")
    for argument in helper.arguments:
        if argument.kind != "string" or helper.check is None:
            continue
        value = f"{act.writable}/{odd}" if argument.name in ("path", "from", "toDir") else odd
        if argument.name == "pattern":
            value = odd + "*"
        record = act(helper.name, *with_value(helper, act, argument, value))
        assert record.decision in ("done", "refused", "error"), record
        for line in act.ledger_path.read_bytes().splitlines():
            json.loads(line)


@EVERY
def test_lone_surrogates_are_no_text(act: Acting, helper: Helper) -> None:
    if any(argument.kind == "string" for argument in helper.arguments) and helper.check is not None:
        arguments = ",".join('"\\ud800"' for _ in helper.arguments)
        record = act.call(helper.name, f"[{arguments}]")
        assert ("error", None) == (record.decision, record.value)


def test_texts_that_the_data_helpers_keep_as_they_are(act: Acting) -> None:
    for text in ("", "a\0b", "é😀\u2028", "\x1b[31m", "x" * (256 * 1024)):
        assert 0 == act("DataSet", "k", text).value
        assert text == act("DataGet", "k").value
        assert 0 == act("DataPush", "l", text).value
        assert text == act("DataPop", "l").value
        assert 0 == act("SharedSet", "k", text).value
        assert text == act("SharedGet", "k").value
    assert "at most 262144 bytes" in act("DataSet", "k", "x" * (256 * 1024 + 1)).reason
    assert "at most 1024 bytes" in act("DataSet", "é" * 513, "").reason


@pytest.mark.parametrize("text", ["", "a\0b", "é😀\u2028", "x" * (1 << 20)])
def test_texts_that_the_file_helpers_keep_as_they_are(act: Acting, text: str) -> None:
    path = str(act.writable / "ü\n\x1b")
    assert 0 == act("WriteFile", path, text).value
    assert (text, "") == ((record := act("ReadFile", path)).value, record.reason)
    assert text == Path(path).read_text()
