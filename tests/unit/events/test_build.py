"""Events as recipes in the wild expect them."""

from __future__ import annotations

import base64
import json
import uuid
from pathlib import Path

from jsonschema import Draft202012Validator

from raqib.events.build import detect, uuid7
from raqib.model.actions import FileAction
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Process, ProcessKey
from raqib.testing import make_recipe

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/event.schema.json").read_text())
INIT = Process(key=ProcessKey(1, 10), comm=b"init", image=Image(exe=b"/sbin/init", args=(b"init",)))
ODD = b"/tmp/\xffodd\n"


def made(**changes: object) -> dict[str, object]:
    process = Process(
        key=ProcessKey(4242, 5_000_000_000),
        parent=INIT.key,
        ppid=1,
        uid=1000,
        comm=b"odd",
        image=Image(exe=ODD, args=(ODD, b"-x", b"\xfe")),
        previous=Image(exe=b"/bin/sh", args=(b"sh",)),
    )
    values: dict[str, object] = {
        "process": process,
        "path": ODD,
        "actions": FileAction.OPEN | FileAction.WRITE,
        "new": FileAction.WRITE,
        "timestamp_ns": 6_000_000_000,
        "mode": 0o100644,
    }
    seen = FileObservation(**{**values, **changes})  # type: ignore[arg-type]
    detection = detect(make_recipe("x"), seen, [INIT], [(b"/etc/hosts", FileAction.READ)], "last one")
    event: dict[str, object] = json.loads(detection.event_json)
    Draft202012Validator(SCHEMA).validate(event)
    without_base = {name: value for name, value in event.items() if name != "base"}
    assert without_base == json.loads(detection.data_json)
    return event


def test_names_that_are_not_text_keep_their_bytes_beside() -> None:
    event = made()
    assert "/tmp/\ufffdodd\n" == event["file"]["path"]  # type: ignore[index]
    assert ODD == base64.b64decode(event["file"]["path_b64"])  # type: ignore[index]
    arguments = [base64.b64decode(argument) for argument in event["process"]["args_b64"]]  # type: ignore[index]
    assert [ODD, b"-x", b"\xfe"] == arguments
    assert "args_b64" not in event["background"]["ancestry"][0]  # type: ignore[index]


def test_the_alias_holds_the_same_facts() -> None:
    event = made()
    base = event["base"]
    assert isinstance(base, dict)
    for field in ("uuid", "timestamp", "note", "metadata", "score", "background", "habitat", "scenarios"):
        assert event[field] == base[field]


def test_actions_are_a_list_and_a_flag_each() -> None:
    file = made()["file"]
    assert isinstance(file, dict)
    assert ["open", "write"] == file["actions"]
    assert {"open", "write"} == {name for name, value in file.items() if value is True}
    assert file["unlink"] is False


def test_ancestry_begins_with_the_oldest_and_ends_with_the_process() -> None:
    event = made()
    assert [1, 4242] == [ancestor["pid"] for ancestor in event["background"]["ancestry"]]  # type: ignore[index]
    assert ["/bin/sh", ["sh"]] == [event["process"]["prev_exe"], event["process"]["prev_args"]]  # type: ignore[index]


def test_what_people_dereference_unguarded_is_there_if_need_be_empty() -> None:
    event = made(actions=FileAction(0), new=FileAction(0))
    assert [] == event["file"]["actions"]  # type: ignore[index]
    assert [] == event["base"]["background"]["flows"]["protocols"]  # type: ignore[index]


def test_notes_say_what_could_not_be_told() -> None:
    assert "last one" == made()["note"]
    assert "the path is as the program named it" in str(made(as_given=True)["note"])
    assert {"lost": 3} == made(lost=3)["loss"]
    assert "loss" not in made()


def test_uuids_are_of_version_7_and_rise_with_time() -> None:
    first, second = uuid.UUID(uuid7()), uuid.UUID(uuid7())
    assert (7, uuid.RFC_4122) == (first.version, first.variant)
    assert first.bytes[:6] <= second.bytes[:6]
