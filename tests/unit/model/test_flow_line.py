from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raqib.model.event import Endpoint, Flow, FlowFlags, Icmp, Phase, Traffic
from raqib.model.flow_line import flow_line, flow_of_line

OUT = FlowFlags(
    ingress=True,
    egress=True,
    incoming=False,
    outgoing=True,
    started=True,
    ongoing=False,
    ended=True,
    terminator=False,
    terminated=True,
)
TCP = Flow(
    ip_version=4,
    proto="tcp",
    local=Endpoint(address="192.0.2.1", port=40000, names=[]),
    remote=Endpoint(address="198.51.100.7", port=443, name="www.a.example", names=["www.a.example", "b c.example"]),
    service_port=443,
    flags=OUT,
    phase=Phase(direction="outgoing", initiated_by="local", status="ended", ended_by="remote"),
    traffic=Traffic(packets_in=9, packets_out=12, bytes_in=840, bytes_out=5100),
)


def test_a_flow_in_one_line_and_back() -> None:
    line = flow_line(TCP)
    assert (
        "tcp 192.0.2.1:40000 -> 198.51.100.7:443 (www.a.example b%20c.example) ended by remote,"
        " 9/12 packets, 840/5100 bytes" == line
    )
    assert TCP == flow_of_line(line)


def test_a_flow_of_icmp_in_ipv6() -> None:
    line = flow_line(
        Flow(
            ip_version=6,
            proto="icmp",
            icmp=Icmp(type=128, code=0),
            local=Endpoint(address="::1"),
            remote=Endpoint(address="2001:db8::1", names=[]),
            phase=Phase(direction="incoming", status="created"),
        )
    )
    assert "icmp ::1 <- 2001:db8::1 type 128/0 created" == line
    back = flow_of_line(line)
    assert back is not None
    assert (6, Icmp(type=128, code=0), "2001:db8::1") == (
        back.ip_version,
        back.icmp,
        back.remote and back.remote.address,
    )


@pytest.mark.parametrize("line", ["", "tcp", "tcp a > b", "tcp 192.0.2.1:1 -> 192.0.2.2:2 (a", "\n"])
def test_what_is_no_such_line(line: str) -> None:
    assert flow_of_line(line) is None


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_no_name_looks_like_another_part(names: list[str]) -> None:
    flow = Flow(ip_version=4, proto="udp", remote=Endpoint(address="192.0.2.2", port=53, names=names))
    back = flow_of_line(flow_line(flow))
    assert back is not None
    assert back.remote is not None
    assert (names, "192.0.2.2", 53) == (back.remote.names, back.remote.address, back.remote.port)


def test_who_said_the_names_is_kept() -> None:
    flow = Flow(
        ip_version=4,
        proto="udp",
        local=Endpoint(address="192.0.2.1"),
        remote=Endpoint(address="198.51.100.7", name="a.example", names=["a.example"], names_from="unlisted"),
    )
    line = flow_line(flow)
    assert "udp 192.0.2.1 -- 198.51.100.7 (a.example; unlisted)" == line
    back = flow_of_line(line)
    assert back is not None
    assert back.remote is not None
    assert ("unlisted", ["a.example"]) == (back.remote.names_from, back.remote.names)
