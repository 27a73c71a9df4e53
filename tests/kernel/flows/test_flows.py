"""What a flow is told to have done: who began, who ended, which way packets went, and how many."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import astuple

from raqib.model.flow import NO_FLOW_ACTIONS, FlowAction, FlowObservation
from raqib.netpolicy.host import Host
from raqib.netpolicy.policy import NetworkPolicy
from tests.kernel.flows.flowing import Flowing, number, tell
from tests.kernel.net.enforcing import spec

CREATED, STARTED, ONGOING, ENDED = FlowAction.CREATED, FlowAction.STARTED, FlowAction.ONGOING, FlowAction.ENDED
INGRESS, EGRESS = FlowAction.INGRESS, FlowAction.EGRESS
INCOMING, OUTGOING = FlowAction.INCOMING, FlowAction.OUTGOING
TERMINATOR, TERMINATED = FlowAction.TERMINATOR, FlowAction.TERMINATED
BOTH_WAYS = CREATED | INGRESS | EGRESS | STARTED | ONGOING

SERVER = """
    server = create_server((sys.argv[1], 0), family=AF_INET6 if ":" in sys.argv[1] else AF_INET)
    print(server.getsockname()[1], flush=True)
    peer, _ = server.accept()
    if sys.argv[2] == "server":
        peer.recv(5)
        peer.send(b"fine")
        peer.shutdown(SHUT_WR)
        while peer.recv(1 << 16):
            pass
    else:
        while peer.recv(1 << 16):
            peer.send(b"fine")
"""
CLIENT = """
    peer = create_connection((sys.argv[1], int(sys.argv[2])))
    peer.send(b"hello")
    peer.recv(100)
    if sys.argv[3] == "reset":
        peer.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    elif sys.argv[3] == "server":
        peer.recv(100)
"""


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("ender", ["client", "server"])
def test_tcp(flowing: Flowing, address: str, ender: str) -> None:
    server = flowing.python(SERVER, address, ender)
    port = number(server)
    client = flowing.python(CLIENT, address, port, ender)
    flowing.end(client)
    flowing.end(server)
    first, second = (TERMINATOR, TERMINATED) if ender == "client" else (TERMINATED, TERMINATOR)
    assert BOTH_WAYS | OUTGOING | ENDED | first == flowing.actions(client.pid)
    assert BOTH_WAYS | INCOMING | ENDED | second == flowing.actions(server.pid)
    one, other = flowing.of(client.pid)[-1], flowing.of(server.pid)[-1]
    assert (one.local, one.remote) == (other.remote, other.local)
    assert ("tcp", 6 if ":" in address else 4) == (one.protocol, one.ip_version)
    assert (address, port) == (one.remote.address, one.remote.port)


def test_each_action_is_told_once_and_in_order(flowing: Flowing) -> None:
    server = flowing.python(SERVER, "127.0.0.1", "client")
    client = flowing.python(CLIENT, "127.0.0.1", number(server), "client")
    flowing.end(client)
    flowing.end(server)
    for pid in (client.pid, server.pid):
        told = NO_FLOW_ACTIONS
        for flow in flowing.of(pid):
            assert not told & flow.new
            told |= flow.new
            assert told == flow.actions
        assert sorted(flow.timestamp_ns for flow in flowing.of(pid)) == [flow.timestamp_ns for flow in flowing.of(pid)]


def test_reset(flowing: Flowing) -> None:
    server = flowing.python(
        """
        server = create_server(("127.0.0.1", 0))
        print(server.getsockname()[1], flush=True)
        peer, _ = server.accept()
        peer.recv(5)
        peer.send(b"fine")
        try:
            peer.recv(5)
        except ConnectionResetError:
            sys.exit(0)
        sys.exit(1)
        """
    )
    client = flowing.python(CLIENT, "127.0.0.1", number(server), "reset")
    flowing.end(client)
    flowing.end(server)
    assert BOTH_WAYS | OUTGOING | ENDED | TERMINATOR == flowing.actions(client.pid)
    assert BOTH_WAYS | INCOMING | ENDED | TERMINATED == flowing.actions(server.pid)


def test_refused(flowing: Flowing) -> None:
    client = flowing.python("""
        with socket() as unused:
            unused.bind(("127.0.0.1", 0))
            assert socket().connect_ex(unused.getsockname()) != 0
    """)
    flowing.end(client)
    assert CREATED | EGRESS | INGRESS | OUTGOING | ENDED | TERMINATED == flowing.actions(client.pid)


FORGING = """
    def forged(source, destination, flags):
        header = struct.pack("!HHIIBBHHH", source, destination, 12345, 0, 5 << 4, flags, 1024, 0, 0)
        pseudo = inet_aton("127.0.0.1") * 2 + struct.pack("!BBH", 0, 6, len(header))
        words = struct.unpack("!16H", pseudo + header)
        total = sum(words)
        total = (total & 0xffff) + (total >> 16)
        total = (total & 0xffff) + (total >> 16)
        raw = socket(AF_INET, SOCK_RAW, IPPROTO_TCP)
        raw.sendto(header[:16] + struct.pack("!H", ~total & 0xffff) + header[18:], ("127.0.0.1", 0))
    RST, ACK, FIN = 4, 16, 1
"""


def test_a_reset_that_is_none_ends_nothing(flowing: Flowing) -> None:
    """What is not within the window does not concern the connection, and whoever sends it may lie."""
    pair = flowing.python(
        FORGING
        + """
    server = create_server(("127.0.0.1", 0))
    one = create_connection(server.getsockname())
    other, _ = server.accept()
    for flags in (RST, RST | ACK, FIN | ACK):
        forged(server.getsockname()[1], one.getsockname()[1], flags)
    one.send(b"x")
    other.recv(1)
    print(server.getsockname()[1], flush=True)
    sys.stdin.readline()
    one.close()
    other.recv(1)
    other.close()
    """
    )
    port = number(pair)
    flowing.network.consume()
    outgoing = [flow for flow in flowing.of(pair.pid) if flow.remote.port == port and flow.protocol == "tcp"]
    assert FlowAction.ONGOING in outgoing[-1].actions
    assert not (ENDED | TERMINATED | TERMINATOR) & outgoing[-1].actions
    tell(pair)
    flowing.end(pair)
    outgoing = [flow for flow in flowing.of(pair.pid) if flow.remote.port == port and flow.actions & OUTGOING]
    assert ENDED | TERMINATOR in outgoing[-1].actions
    assert TERMINATED not in outgoing[-1].actions


def test_a_stray_packet_to_a_listener_is_no_flow_of_it(flowing: Flowing) -> None:
    stray = flowing.python(
        FORGING
        + """
    server = create_server(("127.0.0.1", 0))
    forged(4444, server.getsockname()[1], ACK)
    print(server.getsockname()[1], flush=True)
    """
    )
    port = number(stray)
    flowing.end(stray)
    assert [] == [flow for flow in flowing.of(stray.pid) if flow.local.port == port]


def test_who_listens_in_has_no_part_in_it(flowing: Flowing) -> None:
    sniffer = flowing.python("""
        tcp, icmp = socket(AF_INET, SOCK_RAW, IPPROTO_TCP), socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)
        print(0, flush=True)
        sys.stdin.readline()
        tcp.recv(100)
        sys.stdin.readline()
    """)
    number(sniffer)
    server = flowing.python(SERVER, "127.0.0.1", "client")
    port = number(server)
    client = flowing.python(CLIENT, "127.0.0.1", port, "client")
    flowing.end(client)
    flowing.end(server)
    tell(sniffer)
    tell(sniffer)
    flowing.end(sniffer)
    assert [] == flowing.of(sniffer.pid)
    [one], [other] = flowing.known(client.pid), flowing.known(server.pid)
    assert other.traffic.packets_in - one.traffic.packets_out in (0, 1)


def test_mapped_addresses_are_those_of_ipv4(flowing: Flowing) -> None:
    server = flowing.python("""
        server = create_server(("::", 0), family=AF_INET6, dualstack_ipv6=True)
        print(server.getsockname()[1], flush=True)
        peer, _ = server.accept()
        peer.recv(10)
    """)
    port = number(server)
    client = flowing.python(
        """
        peer = socket(AF_INET6)
        peer.connect(("::ffff:127.0.0.1", int(sys.argv[1])))
        peer.send(b"x")
        """,
        port,
    )
    flowing.end(client)
    flowing.end(server)
    for pid, remote in ((client.pid, True), (server.pid, False)):
        for flow in flowing.of(pid):
            assert (4, "127.0.0.1", "127.0.0.1") == (flow.ip_version, flow.local.address, flow.remote.address)
            assert port == (flow.remote if remote else flow.local).port
    assert STARTED in flowing.actions(client.pid)
    assert STARTED in flowing.actions(server.pid)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_udp(flowing: Flowing, address: str) -> None:
    server = flowing.python(
        """
        family = AF_INET6 if ":" in sys.argv[1] else AF_INET
        server = socket(family, SOCK_DGRAM)
        server.bind((sys.argv[1], 0))
        print(server.getsockname()[1], flush=True)
        said, peer = server.recvfrom(100)
        server.sendto(said, peer)
        sys.stdin.readline()
        """,
        address,
    )
    port = number(server)
    client = flowing.python(
        """
        family = AF_INET6 if ":" in sys.argv[1] else AF_INET
        peer = socket(family, SOCK_DGRAM)
        peer.sendto(b"hello", (sys.argv[1], int(sys.argv[2])))
        peer.recv(100)
        """,
        address,
        port,
    )
    flowing.end(client)
    assert BOTH_WAYS | OUTGOING | ENDED | TERMINATOR == flowing.actions(client.pid)
    assert BOTH_WAYS | INCOMING == flowing.actions(server.pid)
    [flow] = flowing.known(client.pid)
    header = 48 if ":" in address else 28
    assert (1, 1, header + 5, header + 5) == astuple(flow.traffic)
    assert ("udp", address, port) == (flow.protocol, flow.remote.address, flow.remote.port)


@pytest.mark.parametrize(("version", "address", "request_type"), [(4, "127.0.0.1", 8), (6, "::1", 128)])
def test_icmp(flowing: Flowing, version: int, address: str, request_type: int) -> None:
    ping = flowing.python(
        """
        kind = int(sys.argv[3])
        family, protocol = (AF_INET, IPPROTO_ICMP) if sys.argv[1] == "4" else (AF_INET6, IPPROTO_ICMPV6)
        raw = socket(family, SOCK_RAW, protocol)
        message = struct.pack("!BBHHH", kind, 0, 0, 77, 1)
        checksum = ~sum(struct.unpack("!4H", message)) & 0xffff if sys.argv[1] == "4" else 0
        raw.sendto(struct.pack("!BBHHH", kind, 0, checksum, 77, 1), (sys.argv[2], 0))
        answered = 0
        while answered not in (0, 129) or not answered:
            said = raw.recv(1500)
            answered = said[20] if sys.argv[1] == "4" else said[0]
            if sys.argv[1] == "4" and answered == 0:
                break
        """,
        version,
        address,
        request_type,
    )
    flowing.end(ping)
    told = flowing.of(ping.pid)
    assert CREATED | STARTED | OUTGOING | EGRESS in told[0].new
    assert BOTH_WAYS | OUTGOING | ENDED | TERMINATOR == flowing.actions(ping.pid)
    assert {("icmp", version, address, 0, request_type, 0)} == {
        (
            report.protocol,
            report.ip_version,
            report.remote.address,
            report.remote.port,
            report.icmp_type,
            report.icmp_code,
        )
        for report in told
    }


def test_packets_and_bytes(flowing: Flowing) -> None:
    """Both ends of a connection count the same."""
    server = flowing.python("""
        server = create_server(("127.0.0.1", 0))
        print(server.getsockname()[1], flush=True)
        peer, _ = server.accept()
        size = 0
        while said := peer.recv(1 << 16):
            size += len(said)
        assert size == 3_000_000
    """)
    client = flowing.python(
        'create_connection(("127.0.0.1", int(sys.argv[1]))).sendall(bytes(3_000_000))', number(server)
    )
    flowing.end(client)
    flowing.end(server)
    [one], [other] = flowing.known(client.pid), flowing.known(server.pid)
    assert 3_000_000 < one.traffic.bytes_out
    # The last acknowledgement may be sent by a socket of the kernel's, which is in the root cgroup only.
    without = other.traffic.packets_in - one.traffic.packets_out
    assert without in (0, 1)
    assert one.traffic.bytes_out == other.traffic.bytes_in - without * 52
    assert one.first_ns <= other.first_ns


def test_all_is_counted_while_sockets_change_hands(flowing: Flowing) -> None:
    """Data arrives at the moment at which a process takes a connection; the last packet may still be on its way."""
    server = flowing.python("""
        server = create_server(("127.0.0.1", 0), backlog=1)
        print(server.getsockname()[1], flush=True)
        for _ in range(250):
            peer, _ = server.accept()
            while peer.recv(1 << 16):
                pass
            peer.close()
    """)
    client = flowing.python(
        """
        for _ in range(250):
            with create_connection(("127.0.0.1", int(sys.argv[1]))) as made:
                for _ in range(20):
                    made.send(bytes(3000))
                made.shutdown(SHUT_WR)
                made.recv(1)
        """,
        number(server),
    )
    flowing.end(client)
    flowing.end(server)

    def missing() -> dict[int, int]:
        sent = {flow.local.port: flow.traffic.packets_out for flow in flowing.known(client.pid)}
        got = {flow.remote.port: flow.traffic.packets_in for flow in flowing.known(server.pid)}
        assert 250 == len(sent.keys() & got.keys())
        return {port: count - got[port] for port, count in sent.items() if port in got and count > got[port]}

    flowing.wait(lambda: missing() == {})


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_packets_and_bytes_while_it_goes_on(flowing: Flowing, protocol: str) -> None:
    """What is counted at the socket is counted, too; another owner does not change it."""
    pair = flowing.python(
        """
        if sys.argv[1] == "tcp":
            server = create_server(("127.0.0.1", 0))
            one = create_connection(server.getsockname())
            other, _ = server.accept()
        else:
            one, other = socket(AF_INET, SOCK_DGRAM), socket(AF_INET, SOCK_DGRAM)
            one.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            one.connect(other.getsockname())
            other.connect(one.getsockname())
        def talk():
            for _ in range(1500):
                one.send(b"x" * 10)
                other.recv(10)
                other.send(b"y" * 20)
                one.recv(20)
        talk()
        child = os.fork()
        if child == 0:
            talk()
            print(os.getpid(), flush=True)
            sys.stdin.readline()
            os._exit(0)
        os.wait()
        """,
        protocol,
    )
    child = number(pair)
    flowing.wait(lambda: flowing.of(child) != [])
    one, other = sorted(flowing.known(child), key=lambda flow: flow.actions & OUTGOING, reverse=True)
    assert (one.traffic.packets_out, one.traffic.bytes_out) == (other.traffic.packets_in, other.traffic.bytes_in)
    assert (one.traffic.packets_in, one.traffic.bytes_in) == (other.traffic.packets_out, other.traffic.bytes_out)
    if protocol == "udp":
        assert (3000, 3000, 3000 * 48, 3000 * 38) == astuple(one.traffic)
    else:
        assert 3000 * 62 <= one.traffic.bytes_out
    tell(pair)
    flowing.end(pair)


def test_only_what_is_wanted_is_told(flowing: Flowing) -> None:
    flowing.sensor.set_wanted(ENDED)
    server = flowing.python(SERVER, "127.0.0.1", "client")
    client = flowing.python(CLIENT, "127.0.0.1", number(server), "client")
    flowing.end(client)
    flowing.end(server)
    assert sorted([client.pid, server.pid]) == sorted(flow.process.pid for flow in flowing.seen)
    # Then with all that there is.
    assert BOTH_WAYS | OUTGOING | ENDED | TERMINATOR == flowing.of(client.pid)[0].new


def test_what_is_not_told_is_known(flowing: Flowing, processes: object) -> None:
    server = flowing.python(SERVER, "127.0.0.1", "client")
    port = number(server)
    flowing.sensor.set_wanted(NO_FLOW_ACTIONS)
    client = flowing.python(CLIENT + "\n    sys.stdin.readline()", "127.0.0.1", port, "client")
    flowing.wait(lambda: _flows_of(flowing, client.pid) != [])
    [flow] = _flows_of(flowing, client.pid)
    tell(client)
    flowing.end(client)
    assert [] == flowing.seen
    assert port == flow.remote.port


def _flows_of(flowing: Flowing, pid: int) -> list[FlowObservation]:
    key = next((key for key in flowing.processes.living() if key.pid == pid), None)
    return flowing.sensor.flows(key) if key else []


def test_a_flood_is_counted_and_the_newest_is_seen(make_flowing: Callable[..., Flowing]) -> None:
    room = 1024
    flowing = make_flowing({"flows": room, "flow_links": room, "flow_heads": room, "net_sockets": room})
    flowing.start()
    flood = flowing.python("""
        out = socket(AF_INET, SOCK_DGRAM)
        for port in range(10_000, 15_000):
            out.sendto(b"x", ("127.0.0.2", port))
        sys.stdin.readline()
        socket(AF_INET, SOCK_DGRAM).sendto(b"x", ("127.0.0.3", 9))
    """)
    flowing.wait(lambda: len(flowing.seen) >= 5000)
    assert {*range(10_000, 15_000)} == {flow.remote.port for flow in flowing.of(flood.pid)}
    assert 5000 <= flowing.network.counters()["flows_made"]
    assert 5000 - room <= flowing.sensor.forgotten() <= 5000
    tell(flood)
    flowing.end(flood)
    assert "127.0.0.3" in [flow.remote.address for flow in flowing.of(flood.pid)]
    known = flowing.known(flood.pid)
    assert "127.0.0.3" == known[0].remote.address
    assert 0 < len(known) <= room
    key = known[0].process.key
    assert ["127.0.0.3", "127.0.0.2"] == [remote.address for remote in flowing.sensor.remotes(key)]


def test_what_does_not_fit_the_ring_is_delivered_later(make_flowing: Callable[..., Flowing]) -> None:
    flowing = make_flowing({"net_records": 4096})
    flowing.start()
    sender = flowing.python("""
        out = socket(AF_INET, SOCK_DGRAM)
        for port in range(10_000, 10_500):
            out.sendto(b"x", ("127.0.0.2", port))
    """)
    assert 0 == sender.wait(60)
    flowing.network.consume()
    assert len(flowing.seen) < 500
    assert 500 <= flowing.sensor.sweep() + len({flow.remote.port for flow in flowing.seen})
    assert {*range(10_000, 10_500)} == {flow.remote.port for flow in flowing.of(sender.pid)}
    assert 0 == flowing.sensor.sweep()
    counters = flowing.network.counters()
    assert 0 == counters["lost_flows"]
    assert 0 < counters["pending_flows"]


def test_what_does_not_fit_anywhere_is_counted(make_flowing: Callable[..., Flowing]) -> None:
    flowing = make_flowing({"net_records": 4096, "flows_pending": 16})
    flowing.start()
    sender = flowing.python("""
        out = socket(AF_INET, SOCK_DGRAM)
        for port in range(10_000, 10_500):
            out.sendto(b"x", ("127.0.0.2", port))
    """)
    assert 0 == sender.wait(60)
    flowing.network.consume()
    flowing.sensor.sweep()
    told = {flow.remote.port for flow in flowing.seen}
    assert 500 - len(told) <= flowing.network.counters()["lost_flows"]
    # Who comes later hears of it.
    late = flowing.python("""
        out = socket(AF_INET, SOCK_DGRAM)
        out.sendto(b"x", ("127.0.0.2", 9))
    """)
    flowing.end(late)
    assert 0 == flowing.of(late.pid)[0].lost


def test_what_a_policy_drops_was_tried_and_has_not_left(flowing: Flowing) -> None:
    policy = NetworkPolicy(flowing.network.bpf, Host)
    try:
        policy.use(spec("cidr_mode: enforce\nrules:\n  - {cidr: 127.0.0.9/32, policy: deny}"))
        sender = flowing.python("""
            out = socket(AF_INET, SOCK_DGRAM)
            out.sendto(b"x", ("127.0.0.9", 9))
            out.sendto(b"x", ("127.0.0.8", 9))
        """)
        flowing.end(sender)
    finally:
        policy.close()
    denied, allowed = (
        next(flow for flow in flowing.known(sender.pid) if flow.remote.address == address)
        for address in ("127.0.0.9", "127.0.0.8")
    )
    assert CREATED | STARTED | OUTGOING == denied.actions
    assert (0, 0, 0, 0) == astuple(denied.traffic)
    assert EGRESS in allowed.actions
    assert (0, 1, 0, 29) == astuple(allowed.traffic)
