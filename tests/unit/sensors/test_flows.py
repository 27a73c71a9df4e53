"""Addresses and processes of flows."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raqib.kernel.layout import constant, ffi
from raqib.model.flow import FlowAction, Traffic
from raqib.model.process import Image, Process, ProcessKey
from raqib.sensors.flows import address_text, as_of


def test_the_kernel_side_has_the_same_bits() -> None:
    for action in FlowAction:
        assert action.value == constant(f"FLOW_{action.name}")
    totals = ffi.typeof("struct flow_totals").fields
    assert totals is not None
    assert Traffic.__struct_fields__ == tuple(name for name, _ in totals)


@given(st.binary(min_size=16, max_size=16))
def test_sixteen_bytes_are_an_address(raw: bytes) -> None:
    address = IPv6Address(raw)
    assert address_text(raw) == str(address.ipv4_mapped or address)


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_one_of_ipv4(address: IPv4Address) -> None:
    assert str(address) == address_text(bytes(10) + b"\xff\xff" + address.packed)


@pytest.mark.parametrize(("seen_ns", "exe"), [(90, b"/bin/sh"), (100, b"/usr/bin/curl"), (110, b"/usr/bin/curl")])
def test_a_process_that_has_run_another_program_since_is_what_it_was(seen_ns: int, exe: bytes) -> None:
    process = Process(
        key=ProcessKey(1, 2), image=Image(exe=b"/usr/bin/curl", exec_ns=100), previous=Image(exe=b"/bin/sh")
    )
    assert exe == as_of(process, seen_ns).image.exe
