"""Events of every kind that people are shown, always the same."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from raqib.model.event import (
    Attack,
    Background,
    Endpoint,
    Event,
    FileInfo,
    Flow,
    Loss,
    Metadata,
    Phase,
    ProcessInfo,
)

UUID = "01890a5d-ac96-774b-bcce-b302099a8057"
WHEN = "2026-01-02T03:04:05.678901234Z"
SEEN_NS = 1_000_000_000
MINER = ProcessInfo(
    exe="/var/tmp/.cache/fontconfig-8f2a/xmrig",
    args=["[kworker/0:1]", "-o", "stratum+tcp://pool.example.org:3333", "-u", "44AFFq5kSiGBoZ", "a b", "\x1b[2J"],
    pid=22974,
    uid=1000,
    container={"name": "web"},
)
ANCESTRY = [
    ProcessInfo(exe="/usr/lib/systemd/systemd", pid=1),
    ProcessInfo(exe="/usr/sbin/sshd", pid=812),
    ProcessInfo(exe="/usr/sbin/sshd", pid=20011),
    ProcessInfo(exe="/usr/bin/bash", pid=20012),
    ProcessInfo(exe="/usr/bin/a-name-that-is-longer-than-anybody-would-want-a-name-to-be", pid=22970),
    ProcessInfo(exe="/usr/bin/bash", pid=22971),
    MINER,
]


def _metadata(name: str, importance: str, description: str = "") -> Metadata:
    attack = Attack(tactic="TA0040", technique="T1496")
    return Metadata(
        kind="k", name=name, format="execution", importance=importance, description=description, attack=attack
    )


def _raw(**fields: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()}


def _action(name: str, decision: str, target: str, after_ms: float, **more: Any) -> dict[str, Any]:
    ended_ns = SEEN_NS + int(after_ms * 1e6)
    return {"action": name, "decision": decision, "target": target, "ended_ns": ended_ns, "value": 0, **more}


REACTIONS = [
    {
        "reaction": 0,
        "outcome": "ok",
        "timings": {"queued_ns": 1, "seen_ns": SEEN_NS},
        "actions": [
            _action("KillCurrent", "done", "pid 22974", 1.6),
            _action("KillParent", "refused", "pid 22971", 1.8, reason="pid 22971 is protected: bash"),
            _action("NetBlockIp", "refused", "10.0.0.1", 2.1, value=None, reason="is a resolver"),
            _action("NetBlockDomain", "would", "pool.example.org", 2.2),
            _action("WriteFile", "done", "/var/lib/raqib/evidence/" + "very/" * 12 + "evidence.json", 2.9),
            _action("WriteFile", "error", "/etc/shadow", 3.0, value=None, reason="/etc/shadow: no permission"),
            _action("DataIncr", "done", "miners", 3.4, value=7),
            _action("KillTree", "done", "pid 22970", 4.4, value=3),
        ],
    },
    {
        "reaction": 1,
        "outcome": "timeout",
        "error": "miner: reactions[1]: ended after 5 s, its time limit",
        "timings": {"queued_ns": 1, "seen_ns": SEEN_NS},
        "actions": [],
    },
    {"reaction": 2, "outcome": "ok", "timings": {"queued_ns": 1}, "actions": []},
]

DESCRIPTION = "a program with the name of a well-known miner was started from a directory for temporary files"
EVENTS = [
    Event(
        UUID,
        WHEN,
        "execution",
        _metadata("miner", "critical", DESCRIPTION),
        process=MINER,
        file=FileInfo(path=MINER.exe, actions=["open", "read", "mmap", "close", "execve"], deleted=True),
        background=Background(ancestry=ANCESTRY),
        loss=Loss(lost=3),
    ),
    Event(UUID, WHEN, "outcome", _metadata("miner", "critical", DESCRIPTION), fields=_raw(reactions=REACTIONS)),
    Event(
        UUID,
        WHEN,
        "network_peer",
        _metadata("peer", "high"),
        process=ProcessInfo(exe="/usr/bin/curl", args=["curl", "https://例え.example/" + "界" * 40], pid=7, uid=0),
        flow=Flow(
            ip_version=6,
            proto="TCP",
            local=Endpoint(address="2001:db8::1", port=40000),
            remote=Endpoint(address="2001:db8::2", port=443, names=["pool.example.org"]),
            phase=Phase(initiated_by="local"),
        ),
    ),
    Event(
        UUID,
        WHEN,
        "notify",
        _metadata("tells", "medium"),
        note="a miner was seen",
        fields=_raw(event=UUID, reaction=0, title="a miner was seen", fields={"exe": "/x", "times": 2}),
    ),
    Event(
        UUID,
        WHEN,
        "agent",
        _metadata("miner", "low"),
        note="the budget of 30 kills a minute is used up; further ones are refused",
        fields=_raw(breaker={"budget": "kills"}),
    ),
    Event(UUID, WHEN, "file_access", _metadata("quiet", "none"), file=FileInfo(path="/etc/passwd", actions=["open"])),
]
