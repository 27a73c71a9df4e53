"""`raqib disarm`, `arm` and `status`: the running agent."""

from __future__ import annotations

from typing import Any

import msgspec
import typer

from raqib.actions.switch import FILE_NAME
from raqib.agent.control import ask
from raqib.cli.options import AsJson, ConfigFile, DataDir, act, data_dir_of
from raqib.errors import RaqibError


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.command()(disarm)
    root.command()(arm)
    root.command()(status)


def disarm(as_json: AsJson = False, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Switch all actions off, at once and until `arm`: reactions go on, but nothing is done."""
    answer = act(data_dir_of(data_dir, config), "disarm", {}, lambda operator: operator.disarm())
    _tell(answer.done, answer.reason, "disarmed: reactions run dry", as_json=as_json, armed=False)


def arm(as_json: AsJson = False, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Switch actions on again."""
    answer = act(data_dir_of(data_dir, config), "arm", {}, lambda operator: operator.arm())
    _tell(answer.done, answer.reason, "armed: actions are done", as_json=as_json, armed=answer.done)


def status(as_json: AsJson = False, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Say how the running agent is: sensors, matches, reactions, actions, latencies, memory, workers."""
    directory = data_dir_of(data_dir, config)
    try:
        answer = ask(directory, "status")
    except RaqibError as error:
        if (directory / FILE_NAME).exists():
            raise type(error)(f"{error}; actions are switched off (raqib arm)") from error
        raise
    if as_json:
        typer.echo(msgspec.json.encode(answer).decode())
    else:
        for line in describe(answer):
            typer.echo(line)


def describe(status: dict[str, Any]) -> list[str]:
    """Return a status as lines for people."""
    state = "armed" if status["armed"] else "DISARMED: actions are only written down (raqib arm)"
    if status["dry_run"]:
        state += ", dry run: actions are only written down"
    memory, workers = status["memory"], status["workers"]
    matches = status["matches"]
    most = list(matches["by_recipe"].items())[:5]
    lines = [
        f"agent      {status['version']}, pid {status['pid']}, up {status['uptime_s']:.0f} s, {state}",
        f"recipes    {status['recipes']}",
        f"sensors    {_pairs(status['sensors'])}",
        f"matches    {matches['total']}{' (' + _pairs(dict(most)) + ')' if most else ''}",
        *(f"printer    {name}: {_pairs(counts)}" for name, counts in status["printers"].items()),
        f"reactions  {_pairs(status['reactions'])}",
        f"actions    {_pairs(status['actions'])}, breakers opened {status['breakers_opened']}",
        *(f"latency    {name.replace('_', ' ')}: {_latency(one)}" for name, one in status["latency"].items()),
        f"workers    {len(workers['pids'])}, ready {workers['ready']}, busy {workers['busy']}",
        f"memory     agent {_mib(memory['agent_bytes'])}, workers {_mib(memory['workers_bytes'])}",
        f"ledger     head {status['ledger']['seq']}:{status['ledger']['hash']}",
    ]
    if workers["sandbox_missing"]:
        lines.append(f"sandbox    not permitted here: {', '.join(workers['sandbox_missing'])}")
    if status["ledger"]["failure"]:
        lines.append(f"ledger     CANNOT BE WRITTEN: {status['ledger']['failure']}")
    return lines


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items()) or "none"


def _latency(summary: dict[str, Any]) -> str:
    if not summary["count"]:
        return "no case yet"
    return f"p50 {summary['p50_ms']} ms, p99 {summary['p99_ms']} ms of {summary['count']}"


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB"


def _tell(done: bool, reason: str, text: str, *, as_json: bool, armed: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode({"armed": armed, "done": done, "reason": reason}).decode())
    elif done:
        typer.echo(f"{text} ({reason})" if reason else text)
    if not done:
        raise RaqibError(reason)
