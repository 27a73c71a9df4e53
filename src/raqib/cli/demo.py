"""`raqib demo`: the shortest proof. A harmless program under a miner's name is detected, and killed by JavaScript."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from importlib.resources import files
from pathlib import Path
from typing import Any

import typer

from raqib.agent.agent import Agent
from raqib.agent.outlets import Hooks
from raqib.agent.privileges import require_root
from raqib.agent.reporting import Times
from raqib.config.config import Config
from raqib.control.log import configure
from raqib.errors import RaqibError
from raqib.library.reading import with_checked_reactions
from raqib.model.detection import Detection
from raqib.model.execution import Finished, LogLine
from raqib.printers import StdoutPrinter
from raqib.printers.pretty import Pretty
from raqib.recipes.load import load_text
from raqib.recipes.spec import RecipeSpec

_PATIENCE_S = 10.0
_HARMLESS = Path("/bin/sh")
_ARGUMENTS = ("-c", "read line", "xmrig", "-o", "stratum+tcp://pool.invalid:3333")


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.command("demo")(command)


def command() -> None:
    """Show the whole story: a program that looks like a miner is detected and killed by a reaction."""
    require_root("demo")
    raise typer.Exit(demo())


class _Story:
    """What happened, as it is reported."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.times: Times | None = None
        self.finished: Finished | None = None
        self.over = asyncio.Event()

    def detected(self, detection: Detection, times: Times) -> None:
        self.times = times

    def reacted(self, finished: Finished) -> None:
        self.finished = finished
        self.over.set()


def demo() -> int:
    """Run the demonstration and clean up; return 0 only if every part of it happened."""
    # What the ledger's head was is of no use when the ledger is gone.
    configure(None, least=logging.WARNING)
    directory = Path(tempfile.mkdtemp(prefix="raqib-demo-")).resolve()
    try:
        return asyncio.run(_demo(directory))
    finally:
        shutil.rmtree(directory)


def _recipes(directory: Path, evidence: Path) -> list[RecipeSpec]:
    source = files("raqib.cli").joinpath("demo.yaml").read_text()
    filled = source.replace("@PROGRAM_DIR@", str(directory)).replace("@EVIDENCE@", str(evidence))
    loaded = load_text(filled, "demo.yaml")
    recipes, problems = with_checked_reactions(loaded.recipes)
    if loaded.diagnostics or problems:
        raise RaqibError("; ".join(map(str, (*loaded.diagnostics, *problems))))
    return recipes


async def _demo(directory: Path) -> int:
    story = _Story()
    data_dir = directory / "data"
    evidence = data_dir / "evidence" / "miner.json"
    ready = asyncio.Event()
    agent = Agent(
        Config(data_dir=data_dir),
        _recipes(directory, evidence),
        printers=[StdoutPrinter(pretty=Pretty.for_file(sys.stdout))],
        hooks=Hooks(on_log=story.lines.append, on_detection=story.detected, on_finished=story.reacted),
        on_ready=lambda stages: ready.set(),
    )
    running = asyncio.create_task(agent.run())
    status: int | None = None
    try:
        await _first(ready, running)
        status = await _run_victim(directory / "xmrig")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(story.over.wait(), _PATIENCE_S)
    finally:
        agent.stop()
        await running
    return _tell(story, status, evidence, data_dir / "ledger.jsonl")


async def _first(ready: asyncio.Event, running: asyncio.Task[None]) -> None:
    """Wait until the agent is ready; what stops it before is raised."""
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        waiting.cancel()
        await running


async def _run_victim(program: Path) -> int | None:
    """Run a shell under a miner's name, which waits for input that never comes; return its exit status."""
    shutil.copy(_HARMLESS, program)
    victim = await asyncio.create_subprocess_exec(program, *_ARGUMENTS, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL)
    try:
        return await asyncio.wait_for(victim.wait(), _PATIENCE_S)
    except TimeoutError:
        victim.kill()
        await victim.wait()
        return None


def _tell(story: _Story, status: int | None, evidence: Path, ledger: Path) -> int:
    """Print what happened; return 0 if all of it did."""
    pretty = Pretty.for_file(sys.stdout)
    found = evidence.read_text().strip() if evidence.exists() else ""
    entries = [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []
    kill = next((entry for entry in entries if entry["action"] == "KillCurrent"), None)
    proofs = {
        "detection": story.times is not None,
        "reaction": story.finished is not None and story.finished.outcome == "ok",
        "victim": status == -signal.SIGKILL,
        "evidence": bool(found),
        "counter": any("miners killed so far: 1" in line.text for line in story.lines),
        "ledger": kill is not None and kill["decision"] == "done",
    }
    ended = f"killed by signal {-status}" if status is not None and status < 0 else f"exit status {status}"
    told = [("reaction", f"{line.level}: {line.text}") for line in story.lines]
    told += [("victim", ended), ("evidence", found or "none"), ("ledger", _entry(kill) if kill else "no kill")]
    if story.times and story.finished:
        told.append(("times", _times(story.times, story.finished)))
    print("".join(pretty.detail(label, text) for label, text in told), end="")
    missing = [name for name, happened in proofs.items() if not happened]
    if missing:
        print(f"raqib: the demonstration failed: expected {', '.join(missing)}, which did not happen", file=sys.stderr)
        return 1
    print("all of it happened; everything is removed again")
    return 0


def _entry(entry: dict[str, Any]) -> str:
    facts = (entry["action"], json.dumps(entry["arguments"]), entry["decision"], f"in {entry['duration_us']} µs")
    return f"line {entry['seq']}: {' '.join(facts)}, after the line of hash {entry['prev'][:12]}…"


def _times(times: Times, finished: Finished) -> str:
    steps = (
        ("matched", times.matched_ns),
        ("printed", times.printed_ns),
        ("reaction started", finished.timings.started_ns),
        ("killed", finished.timings.first_action_ns),
    )
    parts = [f"{name} +{(at - times.seen_ns) / 1e6:.2f} ms" for name, at in steps if at]
    return "kernel event → " + " → ".join(parts)
