from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raqib.errors import RaqibError
from raqib.model.actions import FileAction
from raqib.model.clock import boot_offset_ns
from raqib.model.flow import Endpoint, FlowAction, FlowObservation, Traffic
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Process, ProcessKey
from raqib.offline import recording
from raqib.offline.recording import Recorded, entry_line, header_line, read_recording

names = st.binary(max_size=30)
numbers = st.integers(0, 2**40)
keys = st.builds(ProcessKey, st.integers(1, 2**22), st.integers(10**12, 10**15))
images = st.builds(Image, exe=names, args=st.lists(names, max_size=3).map(tuple), loader=names)
processes = st.builds(
    Process,
    key=keys,
    uid=st.integers(0, 2**32 - 1),
    comm=names,
    image=images,
    previous=st.none() | images,
    exit_status=st.none() | st.integers(0, 65535),
    envs=st.lists(names, max_size=2).map(tuple),
)
actions = st.integers(1, (1 << 15) - 1).map(FileAction)
observations = st.builds(
    FileObservation,
    process=processes,
    path=names,
    actions=actions,
    new=actions,
    timestamp_ns=numbers,
    aliases=st.lists(names, max_size=2).map(tuple),
    as_given=st.booleans(),
    mode=st.integers(0, 0o177777),
    size=numbers,
)


texts = st.text(max_size=20)
endpoints = st.builds(Endpoint, address=texts, port=st.integers(0, 65535), names=st.lists(texts, max_size=2).map(tuple))
flow_actions = st.integers(0, (1 << 10) - 1).map(FlowAction)
flows = st.builds(
    FlowObservation,
    process=processes,
    protocol=st.sampled_from(["tcp", "udp", "icmp"]),
    ip_version=st.sampled_from([4, 6]),
    local=endpoints,
    remote=endpoints,
    actions=flow_actions,
    new=flow_actions,
    timestamp_ns=numbers,
    icmp_type=st.none() | st.integers(0, 255),
    icmp_code=st.none() | st.integers(0, 255),
    lost=numbers,
    traffic=st.builds(Traffic, numbers, numbers, numbers, numbers),
)


@given(flows, st.lists(processes, max_size=2))
def test_a_flow_that_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, seen: FlowObservation, chain: list[Process]
) -> None:
    path = tmp_path_factory.getbasetemp() / "recording"
    path.write_bytes(header_line() + entry_line(Recorded(seen, tuple(chain))))
    ((read, ancestors),) = read_recording(path)
    assert isinstance(read, FlowObservation)
    for field in FlowObservation.__struct_fields__:
        if field not in ("process", "timestamp_ns"):
            assert getattr(seen, field) == getattr(read, field)
    shift_ns = read.timestamp_ns - seen.timestamp_ns
    assert shifted(seen.process.key, shift_ns) == read.process.key
    assert len(chain) == len(ancestors)


def shifted(key: ProcessKey, shift_ns: int) -> ProcessKey:
    return ProcessKey(key.pid, key.start_ns + shift_ns)


@given(observations, st.lists(processes, max_size=2))
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, seen: FileObservation, chain: list[Process]
) -> None:
    path = tmp_path_factory.getbasetemp() / "recording"
    path.write_bytes(header_line() + entry_line(Recorded(seen, tuple(chain))))
    ((read, ancestors),) = read_recording(path)
    assert isinstance(read, FileObservation)
    shift_ns = read.timestamp_ns - seen.timestamp_ns
    # The two clocks may have been read some nanoseconds apart.
    assert abs(shift_ns) < 10**9
    for field in ("path", "actions", "new", "aliases", "as_given", "mode", "size"):
        assert getattr(seen, field) == getattr(read, field)
    for written, found in zip((seen.process, *chain), (read.process, *ancestors), strict=True):
        assert shifted(written.key, shift_ns) == found.key
        for field in ("uid", "comm", "image", "previous", "exit_status", "envs"):
            assert getattr(written, field) == getattr(found, field)


def test_times_are_moved_to_this_hosts_clock(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    offset_ns = boot_offset_ns()
    header = b'{"format":"raqib-recording","version":1,"boot_offset_ns":%d}\n' % (offset_ns + 5 * 10**9)
    path.write_bytes(
        header + b'{"seen":{"process":{"key":[7,1000]},"path":"/a","actions":["open"],"new":[],"timestamp_ns":10}}\n'
    )
    ((seen, ancestors),) = read_recording(path)
    assert 5 * 10**9 == pytest.approx(seen.timestamp_ns, abs=10**8)
    assert 5 * 10**9 == pytest.approx(seen.process.key.start_ns, abs=10**8)
    assert () == ancestors


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "expected a recording"),
        (b"not json\n", "expected a recording"),
        (b"- a recipe\n", "expected a recording"),
        (b'{"format":"other","version":1}\n', "found 'other' of version 1"),
        (b'{"format":"raqib-recording","version":3}\n', "of version 3; replay it with the raqib"),
        (header_line() + b'{"flow":{"process":{"key":[1,1]},"actions":["fly"],"new":[]}}\n', ":2: "),
        (header_line() + b'{"flow":{"process":{"key":[1,1]},"actions":[],"new":[],"protocol":7}}\n', ":2: "),
        (header_line() + b"{}\n", ":2: expected a recorded observation"),
        (
            header_line() + b'{"seen":{"process":{"key":[1,1]},"path":"/a","actions":["fly"]}}\n',
            ":2: ",
        ),
        (header_line() + b'{"seen":7}\n', ":2: "),
        (header_line() + b"\xff\n", ":2: "),
        (header_line() + b"[" * 100_000 + b"\n", ":2: "),
    ],
)
def test_what_is_no_recording_is_told_with_its_line(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "recording"
    path.write_bytes(content)
    with pytest.raises(RaqibError) as raised:
        list(read_recording(path))
    assert str(path) in str(raised.value)
    assert problem in str(raised.value)


def test_a_last_line_that_is_not_whole_is_left_out(tmp_path: Path) -> None:
    seen = FileObservation(Process(ProcessKey(1, 1)), b"/a", FileAction.OPEN, FileAction.OPEN, 1)
    line = entry_line(Recorded(seen, ()))
    path = tmp_path / "recording"
    path.write_bytes(header_line() + line + line[:-5])
    told: list[str] = []
    assert 1 == len(list(read_recording(path, told.append)))
    assert [f"{path}:3: the last line is not whole: the recording was cut off"] == told


def test_a_line_that_is_too_long_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MAX_LINE_BYTES", 500)
    seen = FileObservation(Process(ProcessKey(1, 1)), b"/a" * 300, FileAction.OPEN, FileAction.OPEN, 1)
    path = tmp_path / "recording"
    path.write_bytes(header_line() + entry_line(Recorded(seen, ())) + entry_line(Recorded(seen, ())))
    with pytest.raises(RaqibError, match=":2: expected at most 500 bytes"):
        list(read_recording(path))


@given(st.binary(max_size=200))
def test_no_content_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "hostile"
    path.write_bytes(header_line() + content + b"\n")
    with contextlib.suppress(RaqibError):
        list(read_recording(path))
