from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from raqib.actions.ledger import Entry, Ledger
from raqib.agent.recall import find_events, ledger_entries, logs_of, observation_of, read_event
from raqib.context.event import detect
from raqib.errors import UsageError
from raqib.model.actions import FileAction
from raqib.model.detection import Detection
from raqib.model.flow import Endpoint, FlowAction, FlowObservation
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Process, ProcessKey
from raqib.recipes.load import load_text
from raqib.recipes.spec import RecipeSpec

SHELL = Process(key=ProcessKey(50, 5 * 10**9), uid=7, image=Image(b"/bin/sh", (b"sh", b"-c")))
CAT = Process(
    key=ProcessKey(60, 6 * 10**9),
    parent=SHELL.key,
    ppid=50,
    uid=7,
    comm=b"c\xff",
    image=Image(b"/usr/bin/cat", (b"cat", b"/etc/\xfe")),
    previous=Image(b"/bin/sh", (b"sh",)),
    exit_status=3 << 8,
    envs=(b"LD_PRELOAD=/x.so",),
)
SEEN = FileObservation(
    CAT, b"/etc/\xfe", FileAction.OPEN | FileAction.READ, FileAction.READ, 7 * 10**9, aliases=(b"/link",)
)


@pytest.fixture
def recipe() -> RecipeSpec:
    text = "- {kind: k, name: n, mechanism: file_access, breed: file_access, importance: low, base: shadow}"
    return load_text(text, "test.yaml").recipes[0]


@pytest.fixture
def detection(recipe: RecipeSpec) -> Detection:
    return detect(recipe.info, SEEN, [SHELL], [(SEEN.path, SEEN.actions)], "")


def test_an_event_leads_back_to_the_observation(detection: Detection) -> None:
    seen, (shell,) = observation_of(detection.event)
    for field in ("path", "actions", "aliases", "deleted", "as_given"):
        assert getattr(SEEN, field) == getattr(seen, field)
    for before, after in ((SHELL, shell), (CAT, seen.process)):
        for field in ("uid", "comm", "image", "previous", "exit_status", "envs", "ppid"):
            assert getattr(before, field) == getattr(after, field)
        assert before.pid == after.pid
        assert before.key.start_ns == pytest.approx(after.key.start_ns, abs=10**8)
    assert shell.key == seen.process.parent


def test_events_are_read_as_printed_and_as_samples(tmp_path: Path, detection: Detection, recipe: RecipeSpec) -> None:
    file = tmp_path / "event"
    file.write_bytes(detection.event_json + b"\n{more}\n")
    assert SEEN.path == read_event(file, recipe).seen.path
    file.write_text("process: {exe: /usr/bin/cat}\nfile: {path: /etc/x}\n")
    seen, _ = read_event(file, recipe)
    assert (b"/etc/x", b"/usr/bin/cat") == (seen.path, seen.process.image.exe)


@pytest.mark.parametrize("content", ["", "[]", "process: {exee: x}", "{", '{"uuid": 7}', "\0"])
def test_what_is_no_event_is_told(tmp_path: Path, recipe: RecipeSpec, content: str) -> None:
    file = tmp_path / "event"
    file.write_text(content)
    with pytest.raises(UsageError, match="expected an event"):
        read_event(file, recipe)


def test_logs_are_searched_from_the_oldest(tmp_path: Path, detection: Detection) -> None:
    log = tmp_path / "events.jsonl"
    outcome = msgspec.structs.replace(detection.event, event_type="outcome", base=None)
    log.with_name("events.jsonl.2").write_bytes(b"torn\n" + detection.event_json + b"\n")
    log.write_bytes(msgspec.json.encode(outcome) + b"\n" + detection.event.uuid.encode() + b"\n{}\n")
    found = find_events(logs_of(log, 3), detection.event.uuid)
    assert ["file_access", "outcome"] == [one.event_type for one in found]
    assert [] == find_events(logs_of(log, 3), "0")


def test_the_ledger_is_searched(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for uuid in ("a", "b", "a"):
        ledger.append(Entry(uuid=uuid, action="KillCurrent", decision="done", reason="about a"))
    ledger.close()
    assert [1, 3] == [one.seq for one in ledger_entries(tmp_path / "ledger.jsonl", "a")]
    assert [] == ledger_entries(tmp_path / "none", "a")


CONNECTED = FlowAction.CREATED | FlowAction.EGRESS | FlowAction.OUTGOING | FlowAction.STARTED
FLOW = FlowObservation(
    CAT,
    "tcp",
    4,
    Endpoint("192.0.2.1", 40000),
    Endpoint("198.51.100.7", 443, ("www.a.org", "b.net")),
    CONNECTED,
    FlowAction.STARTED,
    7 * 10**9,
)


def flow_recipe(fields: str) -> RecipeSpec:
    head = "- {kind: k, name: n, mechanism: network_peers, breed: remote_domains, importance: low, "
    return load_text(head + fields + "}", "test.yaml").recipes[0]


def test_an_event_of_a_flow_leads_back_to_the_observation() -> None:
    recipe = flow_recipe("remote_domains: b.net")
    seen, (shell,) = observation_of(detect(recipe.info, FLOW, [SHELL], [], "").event)
    assert isinstance(seen, FlowObservation)
    for field in ("protocol", "ip_version", "local", "remote"):
        assert getattr(FLOW, field) == getattr(seen, field)
    assert CONNECTED & ~FlowAction.CREATED == seen.actions & ~FlowAction.CREATED
    assert (CAT.pid, SHELL.pid) == (seen.process.pid, shell.pid)


def test_a_flow_of_icmp_leads_back(tmp_path: Path) -> None:
    recipe = flow_recipe("protocol: icmp")
    flow = FlowObservation(
        CAT, "icmp", 6, Endpoint("::1"), Endpoint("2001:db8::1"), CONNECTED, CONNECTED, 1, icmp_type=128, icmp_code=0
    )
    file = tmp_path / "event"
    file.write_bytes(detect(recipe.info, flow, [], [], "").event_json)
    seen = read_event(file, recipe).seen
    assert isinstance(seen, FlowObservation)
    assert (128, 0) == (seen.icmp_type, seen.icmp_code)
    assert ("2001:db8::1", 0) == (seen.remote.address, seen.remote.port)
    file.write_text("flow: {remote: {address: 192.0.2.9}}")
    sampled = read_event(file, recipe).seen
    assert isinstance(sampled, FlowObservation)
    assert ("icmp", "192.0.2.9") == (sampled.protocol, sampled.remote.address)
