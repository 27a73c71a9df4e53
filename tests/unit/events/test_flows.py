"""Flows in events, as recipes in the wild expect them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from raqib.events.build import detect, flow_event
from raqib.model.actions import FileAction
from raqib.model.event import encode
from raqib.model.flow import NO_FLOW_ACTIONS, Endpoint, FlowAction, FlowObservation, Traffic
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Process, ProcessKey
from raqib.model.recipe import RecipeInfo

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/event.schema.json").read_text())
INIT = Process(key=ProcessKey(1, 10), comm=b"init", image=Image(exe=b"/sbin/init", args=(b"init",)))
CURL = Process(key=ProcessKey(4242, 5_000_000_000), parent=INIT.key, comm=b"curl", image=Image(exe=b"/usr/bin/curl"))
RECIPE = RecipeInfo(kind="network", name="bad_domain", mechanism="network_peers", importance="high")
OUT = FlowAction.CREATED | FlowAction.EGRESS | FlowAction.OUTGOING


def made_flow(remote: Endpoint, *, local_port: int = 50_000, **changes: Any) -> FlowObservation:
    values: dict[str, Any] = {
        "process": CURL,
        "protocol": "tcp",
        "ip_version": 4,
        "local": Endpoint("10.0.0.2", local_port),
        "remote": remote,
        "actions": OUT,
        "new": NO_FLOW_ACTIONS,
        "timestamp_ns": 6_000_000_000,
    }
    return FlowObservation(**{**values, **changes})


BAD = Endpoint("192.0.2.1", 443, ("cdn.example.net", "bad.example"))
SEEN = made_flow(
    BAD,
    actions=OUT | FlowAction.INGRESS | FlowAction.STARTED | FlowAction.ENDED | FlowAction.TERMINATED,
    new=FlowAction.STARTED,
    traffic=Traffic(1, 2, 40, 80),
    first_ns=5_500_000_000,
)


def event_of(seen: FlowObservation | FileObservation, flows: list[FlowObservation]) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(detect(RECIPE, seen, [INIT], (), "", flows).event_json)
    Draft202012Validator(SCHEMA).validate(event)
    assert event["background"] == event["base"]["background"]
    return event


def test_the_flow_of_a_detection() -> None:
    event = event_of(SEEN, [SEEN])
    assert ["network_peer", "network_peer"] == [event["event_type"], event["metadata"]["format"]]
    assert 4242 == event["process"]["pid"]
    assert "file" not in event
    flow = event["flow"]
    assert {"address": "10.0.0.2", "names": [], "port": 50_000} == flow["local"]
    named = {
        "address": "192.0.2.1",
        "port": 443,
        "name": "cdn.example.net",
        "names": ["cdn.example.net", "bad.example"],
    }
    assert named == flow["remote"]
    assert (4, "tcp", 443) == (flow["ip_version"], flow["proto"], flow["service_port"])
    done = {"ingress", "egress", "outgoing", "started", "ended", "terminated"}
    assert done == {name for name, value in flow["flags"].items() if value is True}
    assert flow["flags"]["incoming"] is False
    phase = {"direction": "outgoing", "initiated_by": "local", "status": "ended", "ended_by": "remote"}
    assert phase == flow["phase"]
    assert {"packets_in": 1, "packets_out": 2, "bytes_in": 40, "bytes_out": 80} == flow["traffic"]


def test_all_flows_by_protocol_and_pair() -> None:
    incoming = FlowAction.CREATED | FlowAction.INCOMING
    other = made_flow(Endpoint("192.0.2.1", 444), local_port=50_001)
    served = made_flow(Endpoint("192.0.2.9", 1234), local_port=22, actions=incoming)
    asked = made_flow(Endpoint("192.0.2.53", 53), protocol="udp")
    ping = made_flow(Endpoint("192.0.2.1"), protocol="icmp", local_port=0, icmp_type=8, icmp_code=0)
    event = event_of(SEEN, [other, served, SEEN, asked, ping])
    flows = event["background"]["flows"]
    assert 4 == flows["ip_version"]
    assert ["tcp", "udp", "icmp"] == [protocol["proto"] for protocol in flows["protocols"]]
    tcp, udp, icmp = flows["protocols"]
    assert ["192.0.2.1", "192.0.2.9"] == [pair["nodes"]["remote"]["address"] for pair in tcp["pairs"]]
    assert "bad.example" in tcp["pairs"][0]["nodes"]["remote"]["names"]
    ports = [
        [(ports_of_flow["src_port"], ports_of_flow["dst_port"]) for ports_of_flow in pair["port_matrix"]]
        for pair in tcp["pairs"]
    ]
    assert [[(50_000, 443), (50_001, 444)], [(1234, 22)]] == ports
    assert "remote" == tcp["pairs"][1]["port_matrix"][0]["phase"]["initiated_by"]
    assert [(50_000, 53)] == [(pair["src_port"], pair["dst_port"]) for pair in udp["pairs"][0]["port_matrix"]]
    assert [{"type": 8, "code": 0}] == icmp["icmps"]
    assert "192.0.2.1" == icmp["pairs"][0]["nodes"]["remote"]["address"]
    assert 5 == len(event["background"]["flow_list"])
    assert event["flow"] == event["background"]["flow_list"][0]


def test_the_flow_of_the_event_is_there_though_the_kernel_has_forgotten_it() -> None:
    [pair] = event_of(SEEN, [])["background"]["flows"]["protocols"][0]["pairs"]
    assert "192.0.2.1" == pair["nodes"]["remote"]["address"]


def test_versions_that_differ_are_told_by_each_flow() -> None:
    event = event_of(SEEN, [made_flow(Endpoint("2001:db8::1", 443), ip_version=6)])
    assert "ip_version" not in event["background"]["flows"]
    assert [4, 6] == [flow["ip_version"] for flow in event["background"]["flow_list"]]


def test_detections_of_files_have_the_flows_too() -> None:
    seen = FileObservation(
        process=CURL, path=b"/etc/shadow", actions=FileAction.OPEN, new=FileAction.OPEN, timestamp_ns=6_000_000_000
    )
    event = event_of(seen, [SEEN])
    assert "192.0.2.1" == event["background"]["flow_list"][0]["remote"]["address"]
    assert "flow" not in event


def test_icmp_has_no_ports() -> None:
    seen = made_flow(Endpoint("192.0.2.1"), protocol="icmp", local_port=0, icmp_type=3, icmp_code=1)
    flow = event_of(seen, [])["flow"]
    assert {"type": 3, "code": 1} == flow["icmp"]
    assert "port" not in flow["remote"]
    assert "service_port" not in flow


def test_an_event_of_a_flow_alone() -> None:
    event = json.loads(encode(flow_event(SEEN, [INIT])))
    Draft202012Validator(SCHEMA).validate(event)
    assert ["flow", "flow"] == [event["event_type"], event["metadata"]["name"]]
    assert "bad.example" in event["flow"]["remote"]["names"]
    assert [1, 4242] == [ancestor["pid"] for ancestor in event["background"]["ancestry"]]
