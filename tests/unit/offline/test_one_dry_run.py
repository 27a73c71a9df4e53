"""`reaction run`, `replay` and `test` answer each helper alike: as if the action had been done."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raqib.actions.helpers.table import HELPERS
from raqib.model.clock import boottime_ns
from raqib.model.flow import Endpoint, FlowAction, FlowObservation
from raqib.model.process import Image, Process, ProcessKey
from raqib.offline.recording import Recorded, entry_line, header_line

RAQIB = Path(sys.executable).with_name("raqib")

# Beyond the kernel's largest pid: they are on no host.
PID, PARENT = 2**22 - 1, 2**22 - 2
ADDRESS, NAME = "198.51.100.7", "c2.evil.example"

CALLS = [
    "KillCurrent()",
    "KillCurrent()",
    "KillParent()",
    f"KillProcess({PARENT})",
    "KillProcess(1)",
    "KillProcess(1000000)",
    "KillProcess('x')",
    "KillTree()",
    "NetBlockIp()",
    "NetBlockIp()",
    f"NetBlockIp('{ADDRESS}')",
    "NetBlockIp('127.0.0.1')",
    "NetBlockIp('192.0.2.0/8')",
    f"NetUnblockIp('{ADDRESS}')",
    f"NetUnblockIp('{ADDRESS}')",
    "NetBlockIpTimer('192.0.2.1', 60)",
    "NetBlockIpTimer('192.0.2.1', -1)",
    "NetBlockDomain()",
    f"NetBlockDomain('{NAME}')",
    "NetBlockDomain('com')",
    f"NetUnblockDomain('{NAME}')",
    "NetBlockDomainTimer('a.example', 60)",
    "ReadFile('/proc/self/none')",
    "WriteFile('/tmp/raqib-never', 'x')",
    "WriteFile('/etc/raqib-never', 'x')",
    "AppendFile('/tmp/raqib-never', 'x')",
    "Stat('/nothing')",
    "HashFile('exe')",
    "CopyFile('/nothing', '/tmp')",
    "CollectEvidence()",
    "RemoveDir(CreateTempDir())",
    "RemoveDir('/tmp')",
    "DataSet('k', 'v')",
    "DataGet('k')",
    "DataHasKey('k')",
    "DataHasValue('v')",
    "DataKeys()",
    "DataValues()",
    "DataSize()",
    "DataIsEmpty()",
    "DataIncr('n')",
    "DataPush('l', 'v')",
    "DataPop('l')",
    "DataDelete('k')",
    "DataClear()",
    "SharedSet('k', 'v')",
    "SharedGet('k')",
    "SharedHasKey('k')",
    "SharedIncr('n')",
    "SharedDelete('k')",
    "Notify('title', {a: 1})",
    "PowerOff()",
    "Panic()",
]
CODE = "function process(data) { " + " ".join(f"{call};" for call in CALLS) + " }"
RECIPE = {
    "kind": "k",
    "name": "calls_everything",
    "version": "1.0",
    "description": "of a test",
    "mechanism": "network_peers",
    "breed": "remote_cidrs",
    "importance": "high",
    "tactic": "impact",
    "technique": "resource_hijacking",
    "remote_cidrs": f"{ADDRESS}/32",
    "flow_actions": "outgoing",
    "reactions": [{"format": "js", "code": CODE}],
    "tests": [
        {
            "name": "all",
            "event": {
                "process": {"exe": "/tmp/x", "pid": PID, "uid": 7},
                "parent": {"exe": "/bin/sh", "pid": PARENT, "uid": 7},
                "flow": {"proto": "tcp", "remote": {"address": ADDRESS, "port": 443, "names": [NAME]}},
            },
            # Wrong, so that the report tells what was called.
            "expect": {"match": True, "calls": []},
        }
    ],
}

Call = tuple[str, list[Any], str, Any, str]


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    file = tmp_path / "recipes.yaml"
    file.write_text(json.dumps([RECIPE]))
    return file


def raqib(*arguments: str | Path) -> str:
    return subprocess.run([RAQIB, *arguments], capture_output=True, text=True, check=False, cwd="/").stdout


def same_everywhere(name: str, arguments: list[Any], decision: str, value: Any, reason: str, target: str = "") -> Call:
    """Return a call without what chance decides, and without its target, which not every command tells."""
    text = re.sub(
        r"[0-9]{8}T[0-9]{6}Z-\w+-[0-9a-f]+|reaction-\w+|raqib-dry-run-\w+",
        "CHANCE",
        json.dumps([value, arguments, reason]),
    )
    value, arguments, reason = json.loads(text)
    return name, arguments, decision, value, reason


def of_dry_run(calls: list[dict[str, Any]]) -> list[Call]:
    return [same_everywhere(**call) for call in calls]


def recording(file: Path) -> None:
    now_ns = boottime_ns()
    parent = Process(key=ProcessKey(PARENT, now_ns - 10**9), uid=7, image=Image(b"/bin/sh", (b"sh",)))
    process = Process(
        key=ProcessKey(PID, now_ns - 10**8), parent=parent.key, ppid=PARENT, uid=7, image=Image(b"/tmp/x", (b"x",))
    )
    done = FlowAction.CREATED | FlowAction.OUTGOING | FlowAction.STARTED | FlowAction.EGRESS
    flow = FlowObservation(
        process, "tcp", 4, Endpoint("192.0.2.9", 40000), Endpoint(ADDRESS, 443, (NAME,)), done, done, now_ns
    )
    file.write_bytes(header_line() + entry_line(Recorded(flow, (parent,))))


def test_every_helper_is_among_the_calls() -> None:
    assert set(HELPERS) == set(re.findall(r"(\w+)\(", " ".join(CALLS)))


def test_calls_and_answers_are_the_same(tmp_path: Path, recipes: Path) -> None:
    recording(tmp_path / "recording.jsonl")
    replayed, _ = raqib(
        "replay", tmp_path / "recording.jsonl", "--no-builtin", "--recipes", recipes, "--json"
    ).splitlines()
    found = json.loads(replayed)
    expected = of_dry_run(found["reactions"][0]["calls"])
    assert len(re.findall(r"\w+\(", " ".join(CALLS))) == len(expected)

    (tmp_path / "event.json").write_text(json.dumps(found["event"]))
    ran = json.loads(raqib("reaction", "run", recipes, "--event", tmp_path / "event.json", "--json"))
    assert "ok" == ran["outcome"], ran
    # What the reaction gave is shown, also where it is of the wrong type.
    calls = [
        same_everywhere(step["call"], step["arguments"], step["decision"], step["value"], step["reason"])
        for step in ran["happened"]
        if "call" in step
    ]
    for one, other in zip(expected, calls, strict=True):
        assert one[0::2] == other[0::2], (one, other)
        assert (one[3], one[4]) == (other[3], other[4])
        assert one[1] in (other[1], [])

    tested = json.loads(raqib("test", recipes, "--json"))
    (report,) = tested["tests"]
    assert report["matched"]
    assert expected == of_dry_run(report["reactions"][0]["calls"])

    answers = [(name, decision, value) for name, _, decision, value, _ in expected]
    assert [
        ("KillCurrent", "would", 0),
        ("KillCurrent", "would", 1),
        ("KillParent", "would", 0),
        ("KillProcess", "would", 1),
        ("KillProcess", "refused", None),
        ("KillProcess", "would", 0),
        ("KillProcess", "error", None),
        ("KillTree", "error", None),
        ("NetBlockIp", "would", 0),
        ("NetBlockIp", "would", 1),
        ("NetBlockIp", "would", 1),
        ("NetBlockIp", "refused", None),
        ("NetBlockIp", "refused", None),
        ("NetUnblockIp", "would", 0),
        ("NetUnblockIp", "would", 1),
        ("NetBlockIpTimer", "would", 0),
        ("NetBlockIpTimer", "error", None),
        ("NetBlockDomain", "would", 0),
        ("NetBlockDomain", "would", 1),
        ("NetBlockDomain", "refused", None),
        ("NetUnblockDomain", "would", 0),
        ("NetBlockDomainTimer", "would", 0),
    ] == answers[:22]
    assert not Path("/tmp/raqib-never").exists()
