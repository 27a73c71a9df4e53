"""The compact form: what is in it, what is not, and that nothing makes it larger than it may be."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from raqib.events.build import detect
from raqib.model.actions import FileAction
from raqib.model.compact import MOST_BYTES, USUAL_BYTES, CompactEvent
from raqib.model.event import Background, Event, FileInfo, ListedFile, Metadata, ProcessInfo, encode
from raqib.model.flow import Endpoint, FlowAction, FlowObservation, Traffic
from raqib.model.flow_line import flow_line
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Process, ProcessKey
from raqib.model.recipe import RecipeInfo
from raqib.printers.compact import COMMAND_LINE_BYTES, compact

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/event.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
RECIPE = RecipeInfo(kind="k", name="n", mechanism="file_access", importance="high", description="of a test")
NASTY = (b"a", b"\x01", b"\x7f", b"\xff", "‮".encode(), b'"', "\x85".encode(), "日".encode())
"""Bytes that JSON or the printers write in one, six, six times base64, three, two, ... bytes."""


def made_process(pid: int, fill: bytes = b"", *, args: int = 0, envs: int = 0) -> Process:
    return Process(
        key=ProcessKey(pid, pid * 10**9),
        parent=ProcessKey(pid - 1, (pid - 1) * 10**9),
        ppid=pid - 1,
        uid=7,
        comm=(fill or b"sh")[:15],
        image=Image(b"/bin/" + fill, (b"sh", *[fill] * args)),
        previous=Image(b"/bin/" + fill, (b"sh", *[fill] * args)),
        envs=(b"LD_PRELOAD=" + fill,) * envs,
    )


def made_event(fill: bytes = b"x", *, ancestors: int = 5, files: int = 3, flows: int = 2, args: int = 1) -> Event:
    process = made_process(100, fill, args=args, envs=args)
    path = b"/etc/" + fill
    seen = FileObservation(process, path, FileAction.OPEN, FileAction.OPEN, 101 * 10**9, aliases=(path,) * 4)
    chain = [made_process(100 - number, fill, args=args, envs=args) for number in range(1, ancestors + 1)]
    accessed = [(b"/srv/%d" % number + fill, FileAction.OPEN | FileAction.READ) for number in range(files)]
    return detect(RECIPE, seen, chain, accessed, "", [made_flow(number) for number in range(flows)]).event


def made_flow(number: int, names: tuple[str, ...] = ("www.a.example",)) -> FlowObservation:
    done = FlowAction.CREATED | FlowAction.OUTGOING | FlowAction.STARTED | FlowAction.EGRESS
    remote = Endpoint("198.51.100.7", 1 + number, names)
    local = Endpoint("192.0.2.1", 40000 + number)
    return FlowObservation(
        made_process(100), "tcp", 4, local, remote, done, done, 10**9, traffic=Traffic(1, 2, 3, 4), first_ns=1
    )


def printed(event: Event) -> tuple[dict[str, Any], int]:
    line = compact(event)
    assert b"\n" not in line
    plain = json.loads(line)
    VALIDATOR.validate(plain)
    assert plain["uuid"] == event.uuid
    assert plain["metadata"] == msgspec.to_builtins(event.metadata)
    return plain, len(line)


def cuts(plain: dict[str, Any]) -> dict[str, tuple[int, str]]:
    return {cut_field["field"]: (cut_field["left_out"], cut_field["unit"]) for cut_field in plain["cut"]}


def test_the_members_of_a_small_event() -> None:
    event = made_event()
    plain, size = printed(event)
    assert size < USUAL_BYTES
    assert set(json.loads(encode(event))) | {"cut"} == set(plain)
    assert {"ancestry", "file_list", "flow_list"} == set(plain["background"])
    assert {"pid", "comm", "exe", "uid", "start", "cmdline"} == set(plain["background"]["ancestry"][-1])
    assert [{"path": f"/srv/{number}x", "actions": ["open", "read"]} for number in range(3)] == plain["background"][
        "file_list"
    ]
    assert event.background is not None
    assert [flow_line(flow) for flow in event.background.flow_list] == plain["background"]["flow_list"]
    for member in ("process", "file", "score", "habitat"):
        assert json.loads(encode(event))[member] == plain[member]
    assert {"background.ancestry.*": (5, "entries")} == cuts(plain)


@pytest.mark.parametrize("fill", [b"x", b"\xff"])
def test_command_lines_are_whole_for_the_process_and_its_parent_alone(fill: bytes) -> None:
    long = fill * 300
    plain, _ = printed(made_event_with_arguments(long))
    *others, parent, process = plain["background"]["ancestry"]
    whole = b"sh " + long
    for program in (parent, process):
        assert whole == exactly(program, "cmdline")
    assert [whole[:COMMAND_LINE_BYTES]] * 3 == [exactly(other, "cmdline") for other in others]
    assert (3 * (len(whole) - COMMAND_LINE_BYTES), "bytes") == cuts(plain)["background.ancestry.cmdline"]


def made_event_with_arguments(argument: bytes) -> Event:
    chain = [
        msgspec.structs.replace(made_process(pid), image=Image(b"/bin/sh", (b"sh", argument))) for pid in range(96, 101)
    ]
    seen = FileObservation(chain[-1], b"/etc/x", FileAction.OPEN, FileAction.OPEN, 1)
    return detect(RECIPE, seen, chain[-2::-1], [], "").event


def exactly(member: dict[str, Any], name: str) -> bytes:
    exact = member.get(f"{name}_b64")
    return base64.b64decode(exact) if exact else member[name].encode()


def test_files_and_flows_fill_the_room_the_newest_first_and_neither_pushes_the_other_out() -> None:
    plain, size = printed(made_event(files=1000, flows=1000))
    assert USUAL_BYTES * 0.9 < size <= USUAL_BYTES
    background = plain["background"]
    files, flows = len(background["file_list"]), len(background["flow_list"])
    assert min(files, flows) > 10
    assert [f"/srv/{number}x" for number in range(files)] == [file["path"] for file in background["file_list"]]
    assert {
        "background.file_list": (1000 - files, "entries"),
        "background.flow_list": (1000 - flows, "entries"),
    }.items() <= cuts(plain).items()


def test_a_file_that_is_too_large_hides_no_other() -> None:
    event = made_event(files=0)
    assert event.background is not None
    event.background.file_list = [
        ListedFile(path="/new" + "x" * 6000, base="", actions=("open",)),
        ListedFile(path="/old", base="old", actions=("open",)),
    ]
    plain, size = printed(event)
    assert size <= USUAL_BYTES
    assert ["/old"] == [file["path"] for file in plain["background"]["file_list"]]
    assert (1, "entries") == cuts(plain)["background.file_list"]


@pytest.mark.parametrize("unit", NASTY)
@pytest.mark.parametrize("ancestors", [0, 5, 64])
def test_whatever_a_program_is_called_an_event_has_its_bounds(unit: bytes, ancestors: int) -> None:
    event = made_event(unit * (4090 // len(unit)), ancestors=ancestors, files=50, flows=50, args=3)
    assert len(encode(event)) > 100_000
    plain, size = printed(event)
    assert USUAL_BYTES < size <= MOST_BYTES
    # All but what may exceed the usual size keeps to it.
    without = {name: value for name, value in plain.items() if name not in ("process", "file", "background")}
    assert len(json.dumps(without)) < USUAL_BYTES
    assert event.process is not None
    for member in ("uuid", "pid", "uid", "start", "ppid"):
        assert getattr(event.process, member) == plain["process"][member]
    assert event.process.comm == plain["process"]["comm"]
    chain = plain["background"]["ancestry"]
    assert ancestors + 1 == len(chain)
    assert list(range(100 - ancestors, 101)) == [line["pid"] for line in chain]
    assert plain["process"]["exe"].startswith("/bin/")
    assert plain["file"]["path"].startswith("/etc/")
    told = cuts(plain)
    assert (50, "entries") == told["background.file_list"]
    assert {"process.args", "process.cmd", "file.path"} <= set(told)


def test_two_mebibytes_of_arguments() -> None:
    event = made_event()
    assert event.process is not None
    event.process = msgspec.structs.replace(event.process, args=["x" * (2 << 20)], cmd="x" * (2 << 20))
    plain, size = printed(event)
    assert size <= MOST_BYTES
    kept = len(plain["process"]["args"][0])
    assert kept > 4000
    assert ((2 << 20) - kept, "bytes") == cuts(plain)["process.args"]


def test_what_reactions_send_does_not_exceed_the_usual_size(make_event: Callable[..., Event]) -> None:
    for value in ({"x" * 100 + str(n): "y" * 100 for n in range(600)}, ["z" * 100] * 600, "\x7f" * 60_000):
        event = make_event(fields={"title": msgspec.Raw(b'"t"'), "fields": msgspec.Raw(msgspec.json.encode(value))})
        plain, size = printed(event)
        assert size <= USUAL_BYTES
        assert "t" == plain["fields"]["title"]
        assert plain["fields"]["fields"]
        assert {"fields"} == set(cuts(plain))


def test_what_is_nested_deeply_is_left_out(make_event: Callable[..., Event]) -> None:
    for depth in (100, 400, 20_000):
        nested = b"[" * depth + b'"%s"' % (b"x" * 9000) + b"]" * depth
        line = compact(make_event(fields={"fields": msgspec.Raw(nested)}))
        assert len(line) <= USUAL_BYTES
        assert json.loads(line)["cut"]


def test_an_event_that_is_small_keeps_what_is_nested_deeply(make_event: Callable[..., Event]) -> None:
    nested = b"[" * 3000 + b"]" * 3000
    assert nested in compact(make_event(fields={"fields": msgspec.Raw(nested)}))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.builds(
    lambda unit, count: unit * count,
    st.sampled_from(["a", "\x00", "\x7f", "\u202e", "�", '"', "日", "\U0001f600"]),
    st.integers(0, 3000),
)
exacts = st.none() | st.binary(max_size=60).map(lambda raw: base64.b64encode(raw).decode())
lists = st.lists(texts, max_size=6) | st.builds(lambda one, count: [one] * count, texts, st.integers(0, 40))
processes = st.builds(
    ProcessInfo,
    uuid=st.just("01890a5d-ac96-574b-8cce-000000000001"),
    start=st.just("2026-01-02T03:04:05.678901234Z"),
    pid=st.integers(1, 2**22),
    uid=st.integers(0, 2**32 - 1),
    comm=st.text(st.characters(exclude_categories=["Cs"]), max_size=15),
    comm_b64=exacts,
    cmd=st.none() | texts,
    cmd_b64=st.none() | texts,
    exe=st.none() | texts,
    exe_b64=exacts,
    args=lists,
    args_b64=st.none() | lists,
    envs=lists,
    prev_exe=st.none() | texts,
    prev_args=lists,
    container=st.none() | st.dictionaries(texts, texts, max_size=4),
)
files = st.builds(
    FileInfo, path=texts, path_b64=exacts, actions=st.lists(st.sampled_from(["open", "read"])), aliases=lists
)
backgrounds = st.builds(
    Background,
    ancestry=st.lists(processes, max_size=3)
    | st.builds(lambda one, count: [one] * count, processes, st.integers(0, 64)),
    file_list=st.lists(st.builds(ListedFile, path=texts, base=texts, actions=st.just(("open",))), max_size=5),
    flow_list=st.just([]),
    containers=st.lists(st.dictionaries(texts, texts, max_size=3), max_size=3),
)
raws = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
).map(lambda value: msgspec.Raw(msgspec.json.encode(value)))
short = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
events = st.builds(
    Event,
    uuid=st.uuids().map(str),
    timestamp=st.just("2026-01-02T03:04:05.678901234Z"),
    event_type=st.sampled_from(["file_access", "notify", "outcome", "agent"]),
    metadata=st.builds(Metadata, kind=short, name=short, format=st.just("notify"), description=st.none() | short),
    note=st.none() | texts,
    process=st.none() | processes,
    file=st.none() | files,
    background=st.none() | backgrounds,
    scenarios=st.dictionaries(texts, st.dictionaries(texts, texts, max_size=3), max_size=3),
    names=lists,
    fields=st.none() | st.dictionaries(texts, raws, max_size=4),
)


@given(events)
def test_any_event_is_bounded_valid_and_the_same(event: Event) -> None:
    plain, size = printed(event)
    assert size <= MOST_BYTES
    msgspec.json.decode(compact(event), type=CompactEvent)
    if event.process is not None:
        for member in ("uuid", "pid", "start", "uid", "comm"):
            assert getattr(event.process, member) == plain["process"].get(member)
    assert (event.file is None) == ("file" not in plain)
