from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from raqib.agent.trial import detection_of, event_of, try_reaction
from raqib.errors import UsageError
from raqib.model.clock import boottime_ns, rfc3339_of_boot
from raqib.model.event import with_base
from raqib.model.process import Image, Process, ProcessKey
from raqib.reactions import HelperCall, LogLine
from raqib.testing import make_detection, make_recipe

PROCESS = Process(key=ProcessKey(4242, 1), ppid=1, uid=7, comm=b"bash", image=Image(exe=b"/bin/bash"))
BARE = make_detection("", ancestry=[PROCESS]).data_json


@pytest.mark.parametrize("text", [BARE, with_base(BARE), b"\n" + BARE + b"\n", BARE + b"\n" + BARE + b"\n{torn"])
def test_an_event_is_read_as_it_was_printed(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "event.json"
    file.write_bytes(text)
    event, data = event_of(file)
    assert BARE == data
    assert event.process is not None
    assert 4242 == event.process.pid


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b"nothing", b"\xff", b"[" * 100_000])
def test_what_is_no_event_is_said_so(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "event.json"
    file.write_bytes(text)
    with pytest.raises(UsageError, match="expected an event as raqib prints it"):
        event_of(file)


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a file with an event: No such file"):
        event_of(tmp_path / "nothing")


def test_its_process_is_that_of_the_event(tmp_path: Path) -> None:
    started = boottime_ns() - 5 * 10**9
    text = BARE.replace(b'"pid":4242', b'"start":"%s","pid":4242' % rfc3339_of_boot(started).encode())
    file = tmp_path / "event.json"
    file.write_bytes(text)
    event, data = event_of(file)
    detection = detection_of(make_recipe(""), event, data)
    process = detection.process
    assert (4242, 1, 7, b"bash", b"/bin/bash") == (
        process.pid,
        process.ppid,
        process.uid,
        process.comm,
        process.image.exe,
    )
    assert abs(process.key.start_ns - started) < 10**9


def test_an_event_without_a_process_has_none(tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_bytes(make_detection("").data_json)
    assert () == detection_of(make_recipe(""), *event_of(file)).ancestry


def test_it_is_tried_dry_with_log_calls_time_and_memory() -> None:
    lines: list[LogLine] = []
    calls: list[HelperCall] = []
    code = 'function process(data) { Info(`seen ${data.process.pid}`); DataIncr("n"); WriteFile("/tmp/x", "y"); }'
    detection = make_detection(code, "throw new Error('top')", ancestry=[PROCESS])
    good, bad = asyncio.run(try_reaction(detection, lines.append, calls.append))
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
