from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raqib.dns.names import NameCache
from raqib.netpolicy.host import Host
from tests.cgroups import new_cgroup
from tests.kernel.net.enforcing import Enforcer
from tests.kernel.net.lab import IPV4, IPV6, Lab

CLIENTS_HOST = Host(
    own=frozenset({bytes([10, 99, 1, 2])}),
    gateways=frozenset({bytes([10, 99, 1, 1])}),
    resolvers=frozenset({bytes([10, 99, 2, 2]), bytes.fromhex("fd990002000000000000000000000002")}),
)


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A child cgroup of its own, to which programs may be attached."""
    with new_cgroup("test") as made:
        yield made


@pytest.fixture(scope="session")
def session_lab() -> Iterator[Lab]:
    with new_cgroup("lab") as cgroup:
        lab = Lab(cgroup)
        # IPv6 neighbours take a second to find each other.
        for address in IPV6.values():
            if address not in (IPV6["client"], IPV6["dns"]):
                assert lab.client.ask("until_reached", address=address)
        yield lab
        lab.close()


@pytest.fixture
def lab(session_lab: Lab) -> Lab:
    """The network; its DNS server knows names of the web servers."""
    session_lab.answers(
        web__test=[["A", IPV4["web"], 300], ["AAAA", IPV6["web"], 300]],
        web6__test=[["AAAA", IPV6["web6"], 300]],
    )
    session_lab.dns.ask("raw", names={})
    session_lab.dns.ask("queries")
    session_lab.dns.ask("pieces", size=1 << 20)
    return session_lab


@pytest.fixture
def enforcer(lab: Lab) -> Iterator[Enforcer]:
    """The programs on the client's cgroup, with an empty policy."""
    made = Enforcer(lab.cgroup, CLIENTS_HOST)
    yield made
    made.close()


@pytest.fixture
def make_enforcer(lab: Lab) -> Iterator[Callable[..., Enforcer]]:
    """Make such an enforcer, of another host."""
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> Enforcer:
            made = Enforcer(lab.cgroup, **options)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def naming_enforcer(lab: Lab) -> Iterator[Enforcer]:
    """The same, where the names of addresses are known."""
    names = NameCache()
    made = Enforcer(lab.cgroup, CLIENTS_HOST, resolved=names.addresses_below)
    made.learn(names)
    yield made
    made.close()


@pytest.fixture
def short_enforcer(lab: Lab) -> Iterator[Enforcer]:
    """The same, where an address is denied no longer than its time to live."""
    made = Enforcer(lab.cgroup, CLIENTS_HOST, shortest_denial_ns=0)
    yield made
    made.close()


@pytest.fixture
def guarded_enforcer(lab: Lab) -> Iterator[Enforcer]:
    """The same, with a protected network."""
    made = Enforcer(lab.cgroup, CLIENTS_HOST, protected=("203.0.113.7",))
    yield made
    made.close()


@pytest.fixture
def eager_enforcer(lab: Lab) -> Iterator[Enforcer]:
    """The same, where the same thing is told again after a moment."""
    made = Enforcer(lab.cgroup, CLIENTS_HOST, drop_interval_ns=100_000_000)
    yield made
    made.close()
