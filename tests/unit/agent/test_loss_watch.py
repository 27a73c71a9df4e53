from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import msgspec
from jsonschema import Draft202012Validator

from raqib.agent.loss_watch import FLOOD_RECORDS, FLOOD_WINDOW_S, LossWatch
from raqib.agent.losses import Losses
from raqib.events.agent_events import loss_event
from raqib.model.event import Event, encode
from raqib.model.process import Image, Process, ProcessKey
from raqib.sensors.accounts import OTHERS, Lost

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/event.schema.json").read_text())
KEY = ProcessKey(7, 8)
PROCESS = Process(key=KEY, uid=65534, comm=b"flood", image=Image(exe=b"/usr/bin/flood"))


class Sensor:
    def __init__(self) -> None:
        self.losses: list[Lost] = []
        self.most: tuple[ProcessKey, int, int] | None = None

    def lost(self) -> list[Lost]:
        found, self.losses = self.losses, []
        return found

    def heaviest(self) -> tuple[ProcessKey, int, int] | None:
        return self.most


def find(key: ProcessKey) -> Process | None:
    return PROCESS if key == KEY else None


class Clock:
    now = 5.0

    def __call__(self) -> float:
        return self.now


class Watch(NamedTuple):
    losses: Losses
    watch: LossWatch
    sensor: Sensor
    told: list[Event]
    clock: Clock

    def check(self) -> None:
        self.watch.check()
        self.losses.end_quiet()


def start() -> Watch:
    told: list[Event] = []
    sensor, clock = Sensor(), Clock()
    losses = Losses(lambda report: told.append(loss_event(report)), clock=clock)
    return Watch(losses, LossWatch(sensor, find, losses, clock=clock), sensor, told, clock)


def fields(event: Event) -> dict[str, object]:
    Draft202012Validator(SCHEMA).validate(json.loads(encode(event)))
    assert event.fields is not None
    found: dict[str, object] = msgspec.json.decode(event.fields["loss"])
    return found


def test_a_loss_names_who_lost() -> None:
    checked = start()
    sensor, told, clock = checked[2:]
    for count in (3, 4):
        sensor.losses = [Lost("records", 65534, count, KEY)]
        checked.check()
    clock.now += 1000
    checked.check()
    begins, ended = told
    assert ("agent", "loss_records") == (begins.event_type, begins.metadata.name)
    assert begins.process is not None
    assert (7, "/usr/bin/flood") == (begins.process.pid, begins.process.exe)
    expected = {"kind": "records", "uid": 65534, "user": "nobody", "duration_s": 0.0}
    assert {**expected, "state": "begins", "count": 3} == fields(begins)
    assert {**expected, "state": "ended", "count": 7} == fields(ended)


def test_who_is_not_known_is_left_out() -> None:
    checked = start()
    sensor, told, _ = checked[2:]
    sensor.losses = [Lost("unresolved_names", OTHERS, 1, ProcessKey(1, 2))]
    checked.check()
    assert told[0].process is None
    assert fields(told[0])["uid"] is None


def test_losses_of_the_network_are_counted_from_where_they_were() -> None:
    checked = start()
    for lost in (0, 5, 5, 9):
        checked.watch.check_network({"lost_records": lost, "records": 100})
    checked.losses.close()
    assert [("begins", 5), ("ended", 9)] == [
        (fields(report)["state"], fields(report)["count"]) for report in checked.told
    ]


def test_losses_of_the_network_name_who_lost_as_far_as_that_is_known() -> None:
    checked = start()
    checked.watch.check_network({"lost_flows": 5, "lost_learned": 2}, [Lost("network", 65534, 5, KEY)])
    checked.watch.check_network({"lost_flows": 5, "lost_learned": 2})
    checked.losses.close()
    assert {(65534, 5), (None, 2)} == {(fields(report)["uid"], fields(report)["count"]) for report in checked.told}


def test_a_flood_is_told_and_a_busy_machine_is_not() -> None:
    checked = start()
    sensor, told, clock = checked[2:]
    for most in ((KEY, FLOOD_RECORDS - 1, 0), (KEY, FLOOD_RECORDS, FLOOD_RECORDS), None):
        sensor.most = most
        clock.now += FLOOD_WINDOW_S
        checked.check()
    assert [] == told
    sensor.most = (KEY, 2 * FLOOD_RECORDS, 100)
    checked.check()
    assert [] == told
    clock.now += FLOOD_WINDOW_S
    checked.check()
    assert ["loss_flood"] == [report.metadata.name for report in checked.told]
    assert 2 * FLOOD_RECORDS == fields(told[0])["count"]
