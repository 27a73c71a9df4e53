from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from raqib.config.config import Config
from raqib.model.clock import boottime_ns, rfc3339_of_boot
from raqib.model.execution import HelperCall, LogLine
from raqib.model.process import Image, Process, ProcessKey
from raqib.offline.dry_run import DryRun
from raqib.offline.one_reaction import detection_of, try_reactions
from raqib.offline.printed import Printed, read_document
from raqib.testing import make_detection, make_recipe

PROCESS = Process(key=ProcessKey(4242, 1), ppid=1, uid=7, comm=b"bash", image=Image(exe=b"/bin/bash"))
BARE = make_detection("", ancestry=[PROCESS]).data_json


def printed(tmp_path: Path, text: bytes) -> Printed:
    file = tmp_path / "event.json"
    file.write_bytes(text)
    found = read_document(file).printed
    assert found is not None
    return found


def test_its_process_is_that_of_the_event(tmp_path: Path) -> None:
    started = boottime_ns() - 5 * 10**9
    text = BARE.replace(b'"pid":4242', b'"start":"%s","pid":4242' % rfc3339_of_boot(started).encode())
    process = detection_of(make_recipe(""), printed(tmp_path, text)).process
    assert (4242, 1, 7, b"bash", b"/bin/bash") == (
        process.pid,
        process.ppid,
        process.uid,
        process.comm,
        process.image.exe,
    )
    assert abs(process.key.start_ns - started) < 10**9


def test_an_event_without_a_process_has_none(tmp_path: Path) -> None:
    assert () == detection_of(make_recipe(""), printed(tmp_path, make_detection("").data_json)).ancestry


def test_it_is_tried_dry_with_log_calls_time_and_memory() -> None:
    lines: list[LogLine] = []
    calls: list[HelperCall] = []
    code = 'function process(data) { Info(`seen ${data.process.pid}`); DataIncr("n"); WriteFile("/tmp/x", "y"); }'
    detection = make_detection(code, "throw new Error('top')", ancestry=[PROCESS])
    make = partial(DryRun, Config())
    good, bad = asyncio.run(try_reactions(detection, make, lines.append, calls.append))
    assert ("ok", "error") == (good.finished.outcome, bad.finished.outcome)
    assert "line 1, column 7: Error: top" in bad.finished.error
    assert "seen 4242" in [line.text for line in lines]
    assert [("DataIncr", '["n"]', "would"), ("WriteFile", '["/tmp/x","y"]', "would")] == [
        (call.record.action, call.arguments, call.record.decision) for call in calls
    ]
    assert good.duration_us is not None
    assert 0 < good.duration_us < 60_000_000
    assert (good.memory.peak or 0) >= (good.memory.before or 0) > 1 << 20
    assert not Path("/tmp/x").exists()
