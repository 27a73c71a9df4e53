"""`raqib status`: how the running agent is."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import msgspec
import typer

from raqib.cli.options import AsJson, ConfigFile, DataDir, data_dir_of
from raqib.cli.words import columns, count, printable
from raqib.control.socket import ask
from raqib.errors import RaqibError
from raqib.model.quantity import format_duration

_WIDTH, _MARGIN = 80, 11
_MOST_RECIPES = 5
_SWITCHED_OFF = "disarmed"
"""The switch's file in the data directory (`raqib.actions.switch`); a test holds the two together."""


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.command()(status)


def status(as_json: AsJson = False, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Say how the running agent is: sensors, matches, reactions, actions, network policy, latencies, memory."""
    directory = data_dir_of(data_dir, config)
    try:
        answer = ask(directory, "status")
    except RaqibError as error:
        if _is_switched_off(directory):
            raise type(error)(f"{error}; actions are switched off (raqib arm)") from error
        raise
    if as_json:
        typer.echo(msgspec.json.encode(answer).decode())
        return
    for line in describe(answer):
        typer.echo(line)


def _is_switched_off(directory: Any) -> bool:
    try:
        return bool((directory / _SWITCHED_OFF).exists())
    except OSError:
        return False


def describe(status: Mapping[str, Any]) -> list[str]:
    """Return a status as lines for people; none is wider than 80 columns, but for a name that is."""
    workers, ledger, matches = status["workers"], status["ledger"], status["matches"]
    up = format_duration(int(status["uptime_s"]))
    armed = "armed" if status["armed"] else "DISARMED: actions are only written down (raqib arm)"
    most = dict(list(matches["by_recipe"].items())[:_MOST_RECIPES])
    memory = ", ".join(f"{name} {_mib(status['memory'][f'{name}_bytes'])}" for name in ("agent", "workers"))
    lines = [
        *_line("agent", f"version {status['version']}, pid {status['pid']}, up {up}, {memory}"),
        *_line("actions", f"{armed}{', dry run: they are only written down' if status['dry_run'] else ''}"),
        *_line("", f"{_pairs(status['actions'])}, breakers opened {status['breakers_opened']}"),
        *_line("recipes", str(status["recipes"])),
        *_line("matches", f"{matches['total']}{' (' + _pairs(most) + ')' if most else ''}"),
        *(
            _line("", f"{matches['repeated']} of them only counted, for want of room")
            if matches.get("repeated")
            else ()
        ),
        *(
            _line("", f"{matches['alike']} of them told together: they are like others that were printed")
            if matches.get("alike")
            else ()
        ),
        *_line("reactions", _pairs(status["reactions"])),
        *_line("workers", f"{len(workers['pids'])}, ready {workers['ready']}, busy {workers['busy']}"),
        *_line("files", _pairs(status["sensors"])),
        *_line("exceptions", _pairs(status.get("exceptions") or {})),
        *_network(status.get("network"), status.get("policy")),
        *_printers(status["printers"]),
        *_latencies(status["latency"]),
        *_line("ledger", f"head {ledger['seq']}:{ledger['hash']}"),
    ]
    if workers["sandbox_missing"]:
        lines += _line("sandbox", f"not permitted here: {', '.join(workers['sandbox_missing'])}")
    if ledger["failure"]:
        lines += _line("ledger", f"CANNOT BE WRITTEN: {ledger['failure']}")
    return lines


def _network(counters: Mapping[str, int] | None, policy: Mapping[str, Any] | None) -> list[str]:
    if counters is None:
        return _line("network", "not seen: no recipe, setting or policy asks for it")
    lines = _line("network", _pairs(counters))
    if policy is None:
        return lines + _line("policy", "none")
    rules = [
        f"{policy['file'] or 'no file'}{', SWITCHED OFF (raqib blocks off)' if policy['off'] else ''}",
        f"addresses: {policy['cidr_mode']}, default {policy['cidr_policy']}, {count(policy['cidr_rules'], 'rule')}",
        f"names: {policy['resolve_mode']}, default {policy['resolve_policy']}, {count(policy['domain_rules'], 'rule')}",
    ]
    blocks = policy["blocks"]
    return [
        *lines,
        *(line for name, text in zip(("policy", "", ""), rules, strict=True) for line in _line(name, text)),
        *_line(
            "blocks",
            f"{count(blocks['networks'], 'network')}, {count(blocks['domains'], 'domain')}, "
            f"{blocks['ending']} of them end by themselves",
        ),
    ]


def _printers(printers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not printers:
        return _line("printers", "none")
    names = list(dict.fromkeys(name for counts in printers.values() for name in counts))
    rows = [
        [printable(name), *(str(counts.get(counter, "")) for counter in names)] for name, counts in printers.items()
    ]
    return _table("printers", ["", *names], rows)


def _latencies(latencies: Mapping[str, Mapping[str, Any]]) -> list[str]:
    keys = ("p50_ms", "p99_ms", "count")
    rows = [
        [name.replace("_", " "), *("-" if latency[key] is None else f"{latency[key]}" for key in keys)]
        for name, latency in latencies.items()
    ]
    return _table("latency", ["", "p50 ms", "p99 ms", "cases"], rows)


def _table(name: str, title: list[str], rows: list[list[str]]) -> list[str]:
    lines = columns([word.replace("_", " ") for word in title], rows)
    return [f"{word:<{_MARGIN}}{line}" for word, line in zip([name, *[""] * len(rows)], lines, strict=True)]


def _line(name: str, text: str) -> list[str]:
    """Return a text behind its name, in as many lines as it takes."""
    return textwrap.wrap(
        printable(text),
        _WIDTH,
        initial_indent=f"{name:<{_MARGIN}}",
        subsequent_indent=" " * _MARGIN,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items()) or "none"


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB"
