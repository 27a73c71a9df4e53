from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from raqib.config.config import Config
from raqib.model.actions import FileAction
from raqib.model.detection import Detection
from raqib.model.execution import LogLine
from raqib.model.flow import Endpoint, FlowAction, FlowObservation
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Process, ProcessKey
from raqib.offline.dry_run import Reacted
from raqib.offline.recording import Recorded
from raqib.offline.replay import Replay, Summary
from raqib.recipes.load import load_text

NS = 10**9
Found = tuple[Detection, Sequence[Reacted]]
SHELL = Process(key=ProcessKey(50, 5), image=Image(b"/bin/sh", (b"sh",)))


def opened(pid: int, path: bytes = b"/etc/shadow", at_s: float = 1.0) -> Recorded:
    process = Process(key=ProcessKey(pid, pid), parent=SHELL.key, image=Image(b"/usr/bin/cat", (b"cat",)))
    return Recorded(FileObservation(process, path, FileAction.OPEN, FileAction.OPEN, int(at_s * NS)), (SHELL,))


def replayed(fields: str, *recorded: Recorded, real_time: bool = False) -> tuple[list[Found], list[LogLine], Summary]:
    head = "- {kind: k, name: n, mechanism: file_access, breed: file_access, importance: low, base: shadow, "
    flows = (
        "- {kind: k, name: flows, mechanism: network_peers, breed: remote_domains, importance: low, remote_port: 443}"
    )
    loaded = load_text(head + fields + "}\n" + flows, "test.yaml")
    assert not loaded.errors, [str(error) for error in loaded.errors]
    found: list[Found] = []
    lines: list[LogLine] = []
    replay = Replay(
        Config(),
        loaded.recipes,
        on_detection=lambda detection, reacted: found.append((detection, reacted)),
        on_log=lines.append,
    )
    return found, lines, asyncio.run(replay.run(recorded, real_time=real_time))


def test_detections_and_what_reactions_would_have_done() -> None:
    code = (
        "function process(data) { Info(data.background.ancestry.length, data.background.file_list.length);"
        ' if (KillCurrent() === 0) KillParent(); DataIncr("n"); }'
    )
    found, lines, summary = replayed(
        f"reactions: [{{format: js, code: '{code}'}}]", opened(11), opened(12, b"/etc/passwd"), opened(12), opened(12)
    )
    assert [11, 12] == [detection.process.pid for detection, _ in found]
    calls = [
        [(call["name"], call["decision"], call["value"]) for reaction in reacted for call in reaction.calls]
        for _, reacted in found
    ]
    expected = [("KillCurrent", "would", 0), ("KillParent", "would", 0)]
    assert [[*expected, ("DataIncr", "would", 1)], [*expected, ("DataIncr", "would", 2)]] == calls
    assert ["2 1", "2 2"] == [line.text for line in lines]
    assert (4, 2, 6) == (summary.observations, summary.detections, summary.calls)


def test_modes_are_heeded() -> None:
    reaction = "reactions: [{format: js, code: 'function process(data) { KillCurrent() }'}]"
    found, _, summary = replayed(f"mode: alert, {reaction}", opened(1))
    assert [()] == [tuple(reacted) for _, reacted in found]
    found, _, summary = replayed(f"mode: shadow, {reaction}", opened(1), opened(2))
    assert [] == found
    assert {"n": 2} == summary.shadowed


def test_counters_forget_by_the_recordings_time() -> None:
    times = "times: [{kind: times_per_host, max: 1}]"
    found, _, _ = replayed(times, opened(1, at_s=0), opened(2, at_s=3600), opened(3, at_s=90_000))
    assert [1, 3] == [detection.process.pid for detection, _ in found]


def test_real_time_keeps_the_pauses() -> None:
    began = time.monotonic()
    replayed("mode: alert", opened(1, at_s=10), opened(2, at_s=10.3), real_time=True)
    assert time.monotonic() - began >= 0.3


def test_flows_are_replayed_with_those_before_them() -> None:
    def connected(port: int) -> Recorded:
        process = Process(key=ProcessKey(1, 1), image=Image(b"/usr/bin/curl"))
        nodes = (Endpoint("192.0.2.1", 40000), Endpoint("198.51.100.7", port, ("a.org",)))
        flow = FlowObservation(process, "tcp", 4, *nodes, FlowAction.OUTGOING, FlowAction.OUTGOING, NS)
        return Recorded(flow, (SHELL,))

    found, _, summary = replayed(
        "mode: alert", connected(80), opened(1, b"/etc/passwd"), connected(443), connected(443)
    )
    ((detection, _),) = found
    assert "flows" == detection.recipe.name
    assert "network_peer" == detection.event.event_type
    assert detection.event.background is not None
    assert [443, 80] == [flow.remote.port for flow in detection.event.background.flow_list if flow.remote is not None]
    assert ["/etc/passwd"] == [file.path for file in detection.event.background.file_list]
    assert (4, 1) == (summary.observations, summary.detections)
