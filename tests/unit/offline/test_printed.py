from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import yaml

from raqib.errors import UsageError
from raqib.events.build import detect
from raqib.ledger.chain import Entry, Ledger
from raqib.model.actions import FileAction
from raqib.model.detection import Detection
from raqib.model.event import Event
from raqib.model.flow import Endpoint, FlowAction, FlowObservation
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Namespaces, Process, ProcessKey
from raqib.offline.event_log import find_detection, find_events, ledger_entries, logs_of
from raqib.offline.printed import Document, Printed, read_document
from raqib.offline.printed_process import accessed_of, observation_of
from raqib.offline.recording import Recorded
from raqib.offline.sample_event import sample_of
from raqib.printers.compact import compact
from raqib.recipes.load import load_text
from raqib.recipes.spec import RecipeSpec

SHELL = Process(key=ProcessKey(50, 5 * 10**9), uid=7, image=Image(b"/bin/sh", (b"sh", b"-c")))
CAT = Process(
    key=ProcessKey(60, 6 * 10**9),
    parent=SHELL.key,
    ppid=50,
    uid=7,
    comm=b"c\xff",
    image=Image(b"/usr/bin/c\xfft", (b"cat", b"", b"/etc/\xfe"), b"/lib/\xff.so"),
    previous=Image(b"/bin/s\xff", (b"sh", b"\xff"), b"/lib/\xfe.so"),
    ns_pid=6,
    namespaces=Namespaces(1, 2, 3, 4, 5, 6),
    exit_status=3 << 8,
    envs=(b"LD_PRELOAD=/\xff.so",),
)
SEEN = FileObservation(
    CAT, b"/etc/\xfe", FileAction.OPEN | FileAction.READ, FileAction.READ, 7 * 10**9, aliases=(b"/link", b"/l\xff")
)


@pytest.fixture
def recipe() -> RecipeSpec:
    text = "- {kind: k, name: n, mechanism: file_access, breed: file_access, importance: low, base: shadow}"
    return load_text(text, "test.yaml").recipes[0]


@pytest.fixture
def detection(recipe: RecipeSpec) -> Detection:
    return detect(recipe.info, SEEN, [SHELL], [(SEEN.path, SEEN.actions), (b"/x", FileAction.OPEN)], "", [FLOW])


def read_event(file: Path, recipe: RecipeSpec) -> Recorded:
    document = read_document(file)
    return sample_of(document, recipe) if document.printed is None else observation_of(document.printed.event)


def in_yaml(text: bytes) -> bytes:
    """Return JSON as other tools write it in YAML: plain where that is possible, in many lines."""
    return yaml.dump(json.loads(text), Dumper=yaml.SafeDumper, allow_unicode=True).encode()


def printed_event(document: Document) -> Printed:
    assert document.printed is not None
    return document.printed


@pytest.mark.parametrize("write", [bytes, in_yaml, lambda text: json.dumps(json.loads(text), indent=2).encode()])
@pytest.mark.parametrize("form", ["whole", "base", "compact"])
def test_an_event_leads_back_to_the_observation(
    tmp_path: Path, detection: Detection, form: str, write: Callable[[bytes], bytes]
) -> None:
    file = tmp_path / "event"
    text = {"whole": detection.data_json, "base": detection.event_json, "compact": compact(detection.event)}[form]
    file.write_bytes(write(text))
    printed = printed_event(read_document(file))
    assert (form == "compact") == (printed.cut is not None)
    if form != "compact":
        assert json.loads(detection.data_json) == json.loads(printed.data_json)
    else:
        without = {"ancestry"}
        told, found = (json.loads(text)["background"] for text in (detection.data_json, printed.data_json))
        assert {k: v for k, v in told.items() if k not in without and k != "flow_list"} == {
            k: v for k, v in found.items() if k not in without and k != "flow_list"
        }
    assert [(SEEN.path, SEEN.actions), (b"/x", FileAction.OPEN)] == accessed_of(printed.event)
    seen, (shell,) = observation_of(printed.event)
    for field in ("path", "actions", "aliases", "deleted", "as_given"):
        assert getattr(SEEN, field) == getattr(seen, field)
    for before, after in ((SHELL, shell), (CAT, seen.process)):
        for field in ("uid", "comm", "image", "previous", "exit_status", "envs", "ppid", "namespaces", "ns_pid"):
            assert getattr(before, field) == getattr(after, field)
        assert before.pid == after.pid
        assert before.key.start_ns == pytest.approx(after.key.start_ns, abs=10**8)
    assert shell.key == seen.process.parent


def test_events_are_read_as_printed_and_as_samples(tmp_path: Path, detection: Detection, recipe: RecipeSpec) -> None:
    file = tmp_path / "event"
    file.write_bytes(b"\n" + detection.event_json + b"\n\n")
    seen, _ = read_event(file, recipe)
    assert isinstance(seen, FileObservation)
    assert SEEN.path == seen.path
    file.write_text("process: {exe: /usr/bin/cat}\nfile: {path: /etc/x}\n")
    seen, _ = read_event(file, recipe)
    assert isinstance(seen, FileObservation)
    assert (b"/etc/x", b"/usr/bin/cat") == (seen.path, seen.process.image.exe)


NOT_ONE = [
    ("", "found nothing: it is empty"),
    (" \n\n", "found nothing: it is empty"),
    ("[]", "found a list"),
    ("7", "found a single value"),
    ("nothing", "found a text"),
    ("process: {exee: x}", "did you mean exe"),
    ("{", "found neither JSON nor YAML"),
    ("\0", "found neither JSON nor YAML"),
    ('{"uuid": 7}', "found an object with 'uuid'"),
    ('{"uuid": "a"}\n{"uuid": "b"}\n', "expected one event, found 2 lines of JSON"),
    ('{"a": 1}\n{"torn', "expected one event, found 2 lines of JSON"),
    ("a: 1\n---\nb: 2\n", "expected a single document"),
    ('{"seen": {}, "ancestors": []}', "raqib replay takes recordings"),
    ('{"event": {}, "reactions": []}', "jq .event"),
    ("process: &a {exe: /x}\nparent: *a\n", "expected no aliases"),
    ("[" * 100_000, "expected an event"),
]


@pytest.mark.parametrize(("content", "told"), NOT_ONE)
def test_what_is_no_event_is_told(tmp_path: Path, recipe: RecipeSpec, content: str, told: str) -> None:
    file = tmp_path / "event"
    file.write_text(content)
    with pytest.raises(UsageError) as raised:
        read_event(file, recipe)
    assert told in str(raised.value)
    assert str(file) in str(raised.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a file with an event: No such file"):
        read_document(tmp_path / "nothing")


def test_yaml_keeps_texts_that_look_like_something_else(tmp_path: Path, detection: Detection) -> None:
    plain = json.loads(detection.data_json)
    plain["note"], plain["process"]["comm"] = "12:34:56", "yes"
    file = tmp_path / "event"
    file.write_text(
        json.dumps(plain)
        .replace('"12:34:56"', "12:34:56")
        .replace('"yes"', "yes")
        .replace(json.dumps(plain["timestamp"]), plain["timestamp"])
    )
    event = printed_event(read_document(file)).event
    assert event.process is not None
    assert ("12:34:56", "yes", plain["timestamp"]) == (event.note, event.process.comm, event.timestamp)


def with_uuid(event: Event, uuid: str) -> Event:
    return msgspec.structs.replace(event, uuid=uuid)


def test_logs_are_searched_from_the_oldest(tmp_path: Path, detection: Detection) -> None:
    log, uuid = tmp_path / "events.jsonl", detection.event.uuid
    outcome = msgspec.structs.replace(detection.event, event_type="outcome", background=None)
    log.with_name("events.jsonl.2").write_bytes(b"torn\n" + detection.event_json + b"\n")
    log.write_bytes(msgspec.json.encode(outcome) + b"\n" + uuid.encode() + b"\n{}\n")
    for wanted in (uuid, uuid[:8], uuid.upper()):
        found = find_events(logs_of(log, 3), wanted)
        assert ["file_access", "outcome"] == [item.event.event_type for item in found]
    assert [] == find_events(logs_of(log, 3), "f" * 36)
    with pytest.raises(UsageError, match="at least its first 8 characters, found '0'"):
        find_events(logs_of(log, 3), "0")


def test_a_beginning_that_several_have_is_told(tmp_path: Path, detection: Detection) -> None:
    log = tmp_path / "events.jsonl"
    uuids = [f"01890a5d-ac96-774b-bcce-{number:012d}" for number in range(8)]
    log.write_bytes(b"".join(msgspec.json.encode(with_uuid(detection.event, uuid)) + b"\n" for uuid in uuids))
    with pytest.raises(UsageError, match="found several: 01890a5d") as raised:
        find_events([log], "01890a5d")
    assert str(raised.value).endswith(", …")
    found = find_detection([log], uuids[3])
    assert found is not None
    assert uuids[3] == found.event.uuid


def test_of_both_forms_the_whole_one_is_found(tmp_path: Path, detection: Detection) -> None:
    log = tmp_path / "events.jsonl"
    log.write_bytes(compact(detection.event) + b"\n" + detection.data_json + b"\n")
    found = find_detection([log], detection.event.uuid)
    assert found is not None
    assert found.cut is None


def test_the_ledger_is_searched(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for uuid in ("a", "b", "a"):
        ledger.append(Entry(uuid=uuid, action="KillCurrent", decision="done", reason="about a"))
    ledger.close()
    assert [1, 3] == [entry.seq for entry in ledger_entries(tmp_path / "ledger.jsonl", "a")]
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
