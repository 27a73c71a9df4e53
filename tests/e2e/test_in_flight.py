"""However much a user makes happen at once, the daemon's memory is bounded, and nobody else's events are pushed out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from raqib.model.compact import MOST_BYTES
from tests.e2e.conftest import SCHEMA, AgentProcess, recipe

RunAgent = Callable[..., AgentProcess]

GOAL_BYTES = 250 << 20
PYTHON = "/usr/bin/python3"
"""One that every user may run."""
NOBODY, OTHER = 65534, 65533
TOUCHED, MATCHING, NEEDLES = 1000, 20_000, 40
CROWDED = 3000

FLOOD = """
import os, sys
directory, touched, matching = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for number in range(touched):
    os.close(os.open(f"{directory}/{number:04}{'long' * 30}", os.O_CREAT | os.O_WRONLY, 0o644))
for number in range(matching):
    os.close(os.open(f"{directory}/match/{number:05}{'long' * 30}", os.O_CREAT | os.O_WRONLY, 0o644))
"""
CROWD = """
import os, sys
program, count = sys.argv[1], int(sys.argv[2])
for number in range(count):
    arguments = ["%x" % ((7919 * index + number) % 4096) for index in range(1000)]
    os.waitpid(os.posix_spawn(program, [program, *arguments], {}), 0)
"""
NEEDLE = """
import os, sys
for number in range(int(sys.argv[2])):
    sys.stdin.read(1)
    os.close(os.open(f"{sys.argv[1]}/{number}", os.O_CREAT | os.O_WRONLY, 0o644))
"""


def peak_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


def resident_now(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def as_user(uid: int, code: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
    who = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    return subprocess.Popen([*who, PYTHON, "-I", "-c", code, *arguments], stdin=subprocess.PIPE)


def own(directory: Path, uid: int) -> Path:
    directory.mkdir()
    os.chown(directory, uid, uid)
    return directory


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory that other users can reach."""
    for above in (tmp_path, *tmp_path.parents):
        if above == Path(tempfile.gettempdir()):
            break
        above.chmod(above.stat().st_mode | 0o111)
    return tmp_path


def status(agent: AgentProcess) -> dict[str, Any]:
    raqib = Path(sys.executable).with_name("raqib")
    command: list[str | Path] = [raqib, "status", "--json", "--data-dir", agent.data_dir]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def _has_as_many(least: int, events: list[dict[str, Any]]) -> bool:
    return len(events) >= least


def counted(events: list[dict[str, Any]]) -> int:
    return sum(event["count"] for event in events)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_a_flood_of_nobody_takes_bounded_memory_and_pushes_out_nobody_else(run_agent: RunAgent, place: Path) -> None:
    flood_place, needle_place = own(place / "flood", NOBODY), own(place / "needles", OTHER)
    own(flood_place / "match", NOBODY)
    names = {"mechanism": "file_access", "file_actions": "[create]"}
    text = recipe(
        "flood",
        patterns=f"[{{dir: '{flood_place}/match'}}]",
        importance="low",
        reaction='function process(data) { DataIncr("n"); data.background.files.root.files.length; }',
        **names,
    )
    # Of the same low importance: not even that must be pushed out.
    text += recipe("needle", patterns=f"[{{dir: '{needle_place}'}}]", importance="low", **names)
    text += recipe("critical", patterns=f"[{{dir: '{needle_place}'}}]", importance="critical", **names)
    agent = run_agent(text)
    agent.validates = False
    before = resident_now(agent.process.pid)
    needle = as_user(OTHER, NEEDLE, needle_place, str(NEEDLES))
    flood = as_user(NOBODY, FLOOD, flood_place, str(TOUCHED), str(MATCHING))
    assert needle.stdin is not None
    for number in range(NEEDLES):
        needle.stdin.write(b".")
        needle.stdin.flush()
        # One for each part of what is printed of the flood, however fast that is.
        agent.read(partial(_has_as_many, 20 * number))
    for program in (needle, flood):
        program.communicate(timeout=100)
        assert 0 == program.returncode

    def all_told(events: list[dict[str, Any]]) -> bool:
        printed, repeated = agent.of("flood", "file_access"), agent.of("flood", "repeated")
        return len(printed) + counted(repeated) >= MATCHING and len(agent.of("critical", "file_access")) >= NEEDLES

    agent.read(all_told, 300)
    peak = peak_bytes(agent.process.pid)
    now = status(agent)
    printed, repeated = agent.of("flood", "file_access"), agent.of("flood", "repeated")
    print(f"before {before >> 20} MiB, peak {peak >> 20} MiB, printed {len(printed)}, repeated {counted(repeated)}")
    assert peak < GOAL_BYTES, peak >> 20
    assert MATCHING == len(printed) + counted(repeated)
    assert {"total": MATCHING + 2 * NEEDLES, "repeated": counted(repeated)} == {
        name: now["matches"][name] for name in ("total", "repeated")
    }
    for name in ("needle", "critical"):
        told = agent.of(name, "file_access")
        assert {f"{needle_place}/{number}" for number in range(NEEDLES)} == {report["file"]["path"] for report in told}
        assert NEEDLES == len(told)
        assert all(report["process"]["uid"] == OTHER and report["background"]["ancestry"] for report in told)
        assert [] == agent.of(name, "repeated")
    for event in [*repeated, *printed[::500]]:
        Draft202012Validator(SCHEMA).validate(event)
    for event in repeated:
        about = event["fields"]["repeated"]
        assert about["first"] <= about["last"]
        assert {NOBODY} == {example["uid"] for example in about["examples"]}
    assert 0 == now["printers"]["stdout"]["dropped"]
    assert 0 == agent.stop()
    # Each reaction ran or was dropped by the rule of its line, which is told.
    ended = Counter(entry["result"] for entry in agent.ledger() if entry["action"] == "execution")
    assert MATCHING == ended.total()
    assert ended["ok"] > 0
    assert {"ok", "dropped", "timeout"} >= ended.keys(), ended
    told = [shown for shown in agent.of("loss_reactions") if shown["fields"]["loss"]["state"] == "ended"]
    assert now["reactions"]["dropped"] <= counted(told_losses(told)) <= ended["dropped"]
    for event in told:
        Draft202012Validator(SCHEMA).validate(event)


def test_a_crowd_of_programs_with_a_thousand_arguments_takes_bounded_memory(run_agent: RunAgent, place: Path) -> None:
    programs = own(place / "programs", NOBODY)
    shutil.copy("/bin/true", programs / "program")
    text = recipe(
        "crowd",
        patterns=f"[{{dir: '{programs}'}}]",
        importance="low",
        reaction='function process(data) { DataIncr("n"); }',
    )
    agent = run_agent(text)
    agent.validates = False
    agent.most_bytes = MOST_BYTES
    before = resident_now(agent.process.pid)
    crowd = as_user(NOBODY, CROWD, programs / "program", str(CROWDED))

    def all_told(events: list[dict[str, Any]]) -> bool:
        return len(agent.of("crowd", "execution")) + counted(agent.of("crowd", "repeated")) >= CROWDED

    agent.read(all_told, 300)
    crowd.communicate(timeout=100)
    assert 0 == crowd.returncode
    peak = peak_bytes(agent.process.pid)
    printed, repeated = agent.of("crowd", "execution"), agent.of("crowd", "repeated")
    print(f"before {before >> 20} MiB, peak {peak >> 20} MiB, printed {len(printed)}, repeated {counted(repeated)}")
    assert CROWDED == len(printed) + counted(repeated)
    assert peak < GOAL_BYTES, peak >> 20
    assert 0 == agent.stop()


def told_losses(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event["fields"]["loss"] for event in events]
