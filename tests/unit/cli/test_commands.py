"""The table of commands, and their help."""

from __future__ import annotations

import contextlib
import io
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from raqib.cli.commands import app, load
from raqib.cli.table import COMMANDS, EXAMPLES

ROOT: Any = get_command(app)


def every_command() -> Iterator[tuple[str, Any]]:
    for name in COMMANDS:
        yield from below(name, load(name))


def below(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, one in getattr(command, "commands", {}).items():
        yield from below(f"{path} {name}", one)


EVERY = dict(every_command())


def shown(*arguments: str) -> tuple[int, str, str]:
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors), pytest.raises(SystemExit) as ended:
        ROOT.main(list(arguments), prog_name="raqib")
    return int(ended.value.code or 0), out.getvalue(), errors.getvalue()


def test_every_command_has_examples_and_every_example_a_command() -> None:
    assert set(EVERY) == set(EXAMPLES)


@pytest.mark.parametrize("line", sorted({line for lines in EXAMPLES.values() for line in lines}))
def test_examples_are_understood(line: str) -> None:
    program, *arguments = shlex.split(line)
    assert "raqib" == program
    command, parent = ROOT, None
    # Every option is parsed, nothing is called.
    while True:
        context = command.make_context(command.name or "raqib", arguments, parent=parent)
        rest = [*getattr(context, "_protected_args", []), *context.args]
        if not rest or not hasattr(command, "commands"):
            return
        _, command, arguments = command.resolve_command(context, rest)
        parent = context


@pytest.mark.parametrize("path", sorted(EVERY))
def test_help_is_plain_and_ends_with_examples(path: str) -> None:
    status, out, _ = shown(*path.split(), "--help")
    assert 0 == status
    assert "<bool>" not in out
    assert out.isascii() or not set("│╭╰─") & set(out)
    assert all(f"  {line}\n" in out for line in EXAMPLES[path])
    assert [] == [line for line in out.splitlines() if len(line) > 80 and line.strip() not in EXAMPLES[path]]
    assert [] == [line for line in EXAMPLES[path] if len(line) > 76]


def test_help_of_all_says_in_a_line_what_each_does() -> None:
    status, out, _ = shown("--help")
    assert 0 == status
    for name, command in COMMANDS.items():
        assert f"  {name}" in out
        assert 67 >= len(command.summary), command.summary
        assert command.summary in out


def test_help_is_a_command_too() -> None:
    assert shown("--help") == shown("help")
    assert shown("blocks", "add", "--help") == shown("help", "blocks", "add")


def test_without_arguments_the_help_is_shown() -> None:
    status, out, errors = shown()
    assert 2 == status
    assert "Commands:" in out + errors


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("stauts",), "expected a command, found 'stauts'; did you mean status?"),
        (("legder", "verify"), "did you mean ledger?"),
        (("blocks", "ad", "192.0.2.1"), "Did you mean 'add'?"),
        (("recipes", "--importence", "high"), "--importance"),
    ],
)
def test_a_typo_is_answered_with_the_nearest_name(arguments: tuple[str, ...], expected: str) -> None:
    status, _, errors = shown(*arguments)
    assert 2 == status
    assert expected in errors


DURATIONS = (
    ("run", "--duration"),
    ("record", "-o", "x", "--duration"),
    ("blocks", "add", "192.0.2.1", "--for"),
    ("store", "set", "recipe", "key", "value", "--ttl"),
)


@pytest.mark.parametrize("arguments", DURATIONS, ids=[words[-1] + " of " + words[0] for words in DURATIONS])
@pytest.mark.parametrize("wrong", ["10 minutes", "1x", "-5", "0", "nan", "1e9", ""])
def test_a_wrong_duration_says_what_is_expected(arguments: tuple[str, ...], wrong: str) -> None:
    status, _, errors = shown(*arguments, wrong)
    assert 2 == status
    assert "expected a duration" in errors or "requires an argument" in errors
    assert arguments[-1] in errors


@pytest.mark.parametrize(
    ("written", "seconds"), [("90", 90), ("0.5", 0.5), ("90s", 90), ("1h30m", 5400), ("10m", 600), ("250ms", 0.25)]
)
def test_durations_are_written_as_people_do(written: str, seconds: float) -> None:
    for first, *rest in DURATIONS:
        command, arguments, parent = (
            load(first),
            [*rest, written],
            ROOT.make_context("raqib", ["--help"], resilient_parsing=True),
        )
        if hasattr(command, "commands"):
            command, arguments = command.commands[rest[0]], arguments[1:]
        parsed = command.make_context(first, arguments, parent=parent).params
        assert seconds in parsed.values()
