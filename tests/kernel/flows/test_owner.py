"""A flow belongs to the process that uses its socket, however that process came by it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from raqib.model.flow import ALL_FLOW_ACTIONS, FlowAction
from tests.cgroups import new_cgroup
from tests.kernel.flows.flowing import Flowing, number, tell

SERVER = """
    server = create_server(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)
    peer, _ = server.accept()
    print(0, flush=True)
    while peer.recv(1 << 16):
        pass
"""
UDP_SINK = """
    sink = socket(AF_INET, SOCK_DGRAM)
    sink.bind(("127.0.0.1", 0))
    print(sink.getsockname()[1], flush=True)
    sys.stdin.readline()
"""


def test_pipeline_with_curl(flowing: Flowing) -> None:
    server = flowing.python("""
        server = create_server(("127.0.0.1", 0))
        print(server.getsockname()[1], flush=True)
        peer, _ = server.accept()
        peer.recv(1 << 16)
        peer.send(b"HTTP/1.0 200 OK\\r\\n\\r\\nfine")
    """)
    port = number(server)
    shell = flowing.spawn("sh", "-c", f"echo secret | curl -s --data-binary @- http://127.0.0.1:{port}/ | cat")
    assert b"fine" == flowing.end(shell)
    flowing.end(server)
    owner = next(told_flow.process for told_flow in flowing.seen if FlowAction.OUTGOING in told_flow.new)
    assert b"/usr/bin/curl" == owner.image.exe
    assert shell.pid != owner.pid
    assert {server.pid, owner.pid} == {flow.process.pid for flow in flowing.seen}
    [flow] = flowing.known(owner.pid)
    assert port == flow.remote.port
    assert len("secret\n") <= flow.traffic.bytes_out


def test_server_that_forks(flowing: Flowing) -> None:
    server = flowing.python("""
        server = create_server(("127.0.0.1", 0))
        print(server.getsockname()[1], flush=True)
        peer, _ = server.accept()
        if os.fork() == 0:
            peer.send(peer.recv(100))
            print(os.getpid(), flush=True)
            os._exit(0)
        peer.close()
        os.wait()
    """)
    client = flowing.python(
        """
        peer = create_connection(("127.0.0.1", int(sys.argv[1])))
        peer.send(b"hello")
        peer.recv(100)
        """,
        number(server),
    )
    flowing.end(client)
    child = number(server)
    flowing.end(server)
    # Until it was forked, the connection was the server's.
    assert FlowAction.CREATED | FlowAction.INCOMING | FlowAction.STARTED in flowing.actions(server.pid)
    assert FlowAction.CREATED | FlowAction.INCOMING | FlowAction.ONGOING in flowing.actions(child)
    assert [client.pid] == list(
        {told_flow.process.pid for told_flow in flowing.seen if told_flow.actions & FlowAction.OUTGOING}
    )
    [flow] = flowing.known(child)
    assert flow.remote == flowing.known(client.pid)[0].local


def test_children_that_accept(flowing: Flowing) -> None:
    """What a child accepts is its own before it has sent or received."""
    server = flowing.python("""
        server = create_server(("127.0.0.1", 0))
        if os.fork() == 0:
            print(os.getpid(), flush=True)
            print(server.getsockname()[1], flush=True)
            peer, _ = server.accept()
            print("accepted", flush=True)
            sys.stdin.readline()
            os._exit(0)
        os.wait()
    """)
    child, port = number(server), number(server)
    client = flowing.python(
        """
        peer = create_connection(("127.0.0.1", int(sys.argv[1])))
        sys.stdin.readline()
        """,
        port,
    )
    assert server.stdout is not None
    assert b"accepted\n" == server.stdout.readline()
    flowing.wait(lambda: FlowAction.STARTED in flowing.actions(child))
    assert [port] == [flow.local.port for flow in flowing.known(child)]
    tell(client)
    tell(server)


def test_children_that_accept_whoever_it_is(flowing: Flowing) -> None:
    """An accept that does not ask for the peer tells nobody; the first try to receive does."""
    server = flowing.python("""
        import ctypes
        server = create_server(("127.0.0.1", 0))
        if os.fork() == 0:
            print(os.getpid(), flush=True)
            print(server.getsockname()[1], flush=True)
            peer = socket(fileno=ctypes.CDLL(None).accept(server.fileno(), None, None))
            peer.setblocking(False)
            try:
                peer.recv(1)
            except BlockingIOError:
                pass
            sys.stdin.readline()
            os._exit(0)
        os.wait()
    """)
    child, port = number(server), number(server)
    client = flowing.python(
        """
        peer = create_connection(("127.0.0.1", int(sys.argv[1])))
        sys.stdin.readline()
        """,
        port,
    )
    flowing.wait(lambda: FlowAction.STARTED in flowing.actions(child))
    tell(client)
    tell(server)


def test_passed_over_a_unix_socket(flowing: Flowing) -> None:
    """Who connects passes the connection to somebody who is no relative, and is gone before that one sends."""
    server = flowing.python(SERVER)
    name = f"\0raqib-test-{os.getpid()}"
    taker = flowing.python(
        """
        unix = socket(AF_UNIX)
        unix.bind("\\0" + sys.argv[1])
        unix.listen()
        print(0, flush=True)
        passer, _ = unix.accept()
        _, fds, _, _ = recv_fds(passer, 1, 1)
        sys.stdin.readline()
        os.write(fds[0], b"now it is mine")
        """,
        name[1:],
    )
    number(taker)
    giver = flowing.python(
        """
        peer = create_connection(("127.0.0.1", int(sys.argv[1])))
        unix = socket(AF_UNIX)
        unix.connect("\\0" + sys.argv[2])
        send_fds(unix, [b"x"], [peer.fileno()])
        """,
        number(server),
        name[1:],
    )
    flowing.end(giver)
    assert [] == flowing.of(taker.pid)
    assert FlowAction.STARTED in flowing.actions(giver.pid)
    assert FlowAction.ONGOING not in flowing.actions(giver.pid)
    tell(taker)
    flowing.end(taker)
    flowing.end(server)
    assert FlowAction.CREATED | FlowAction.OUTGOING | FlowAction.ONGOING in flowing.actions(taker.pid)
    assert FlowAction.ONGOING not in flowing.actions(giver.pid)
    # Both had it.
    assert flowing.known(giver.pid)[0].local == flowing.known(taker.pid)[0].local


def test_exits_right_after_sending(flowing: Flowing) -> None:
    sink = flowing.python(UDP_SINK)
    port = number(sink)
    sender = flowing.python(
        """
        socket(AF_INET, SOCK_DGRAM).sendto(b"bye", ("127.0.0.1", int(sys.argv[1])))
        os._exit(0)
        """,
        port,
    )
    flowing.end(sender)
    sent = flowing.of(sender.pid)
    assert FlowAction.CREATED | FlowAction.OUTGOING | FlowAction.EGRESS in sent[0].new
    assert ("udp", port) == (sent[0].protocol, sent[0].remote.port)
    assert os.path.realpath(b"/proc/self/exe") == sent[0].process.image.exe
    assert FlowAction.ENDED | FlowAction.TERMINATOR in flowing.actions(sender.pid)
    assert sent[0].process.exit_status in (None, 0)


def test_in_namespaces_of_its_own(flowing: Flowing) -> None:
    """As a container: the host's pid is told, and flows of another network namespace are kept apart."""
    container = flowing.python(
        """
        import subprocess
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        sink = socket(AF_INET, SOCK_DGRAM)
        sink.bind(("127.0.0.1", 5353))
        out = socket(AF_INET, SOCK_DGRAM)
        out.bind(("127.0.0.1", 5354))
        out.sendto(b"hello", ("127.0.0.1", 5353))
        print(os.getpid(), flush=True)
        sys.stdin.readline()
        """,
        prefix=["unshare", "--pid", "--fork", "--mount", "--net", "--uts", "--ipc", "--mount-proc"],
    )
    inside = number(container)
    flowing.wait(lambda: any(flow.remote.port == 5353 for flow in flowing.seen))
    seen = next(flow for flow in flowing.seen if flow.remote.port == 5353)
    assert (1, 1) == (inside, seen.process.ns_pid)
    assert container.pid == seen.process.ppid
    assert Path(f"/proc/{seen.process.pid}/ns/net").stat().st_ino == seen.process.namespaces.net_ns
    assert Path("/proc/self/ns/net").stat().st_ino != seen.process.namespaces.net_ns
    # The same ports on the host are another flow.
    host = flowing.python("""
        out = socket(AF_INET, SOCK_DGRAM)
        out.bind(("127.0.0.1", 5354))
        out.sendto(b"hello", ("127.0.0.1", 5353))
    """)
    flowing.end(host)
    assert FlowAction.CREATED | FlowAction.OUTGOING in flowing.actions(host.pid)
    assert 1 == flowing.known(host.pid)[0].traffic.packets_out
    tell(container)


def test_datagrams_belong_to_who_received_last(flowing: Flowing) -> None:
    server = flowing.python("""
        sink = socket(AF_INET, SOCK_DGRAM)
        sink.bind(("127.0.0.1", 0))
        print(sink.getsockname()[1], flush=True)
        if os.fork() == 0:
            print(os.getpid(), flush=True)
            sink.recv(100)
            os._exit(0)
        os.wait()
    """)
    port, child = number(server), number(server)
    flowing.end(flowing.python('socket(AF_INET, SOCK_DGRAM).sendto(b"x", ("127.0.0.1", int(sys.argv[1])))', port))
    flowing.wait(lambda: FlowAction.INCOMING in flowing.actions(child))
    assert [port] == [flow.local.port for flow in flowing.known(child)]
    flowing.end(server)


def test_shared_by_two_that_take_turns(flowing: Flowing) -> None:
    """Each is told of once, however often the socket changes hands."""
    server = flowing.python("""
        sink = socket(AF_INET, SOCK_DGRAM)
        sink.bind(("127.0.0.1", 0))
        out = socket(AF_INET, SOCK_DGRAM)
        out.connect(sink.getsockname())
        down, up = os.pipe(), os.pipe()
        child = os.fork()
        for _ in range(50):
            if child == 0:
                os.read(down[0], 1)
                out.send(b"x")
                os.write(up[1], b"x")
            else:
                out.send(b"x")
                os.write(down[1], b"x")
                os.read(up[0], 1)
        if child == 0:
            os._exit(0)
        print(child, flush=True)
        os.wait()
    """)
    child = number(server)
    flowing.end(server)
    told = [flow.process.pid for flow in flowing.seen if flow.new & FlowAction.OUTGOING]
    assert [server.pid, child] == sorted(told)
    assert 100 == flowing.known(child)[0].traffic.packets_out


def test_reading_on_older_kernels(make_flowing: Callable[..., Flowing], monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels before 6.3 have a tracepoint of TCP alone in the place of the one for all sockets."""
    older = ("tcp_rcv_space_adjust",)
    monkeypatch.setattr("raqib.kernel.network.use_traces", lambda: older)
    monkeypatch.setattr("raqib.sensors.network.use_traces", lambda: older)
    flowing = make_flowing()
    flowing.start()
    server = flowing.python("""
        server = create_server(("127.0.0.1", 0))
        print(server.getsockname()[1], flush=True)
        peer, _ = server.accept()
        if os.fork() == 0:
            peer.recv(100)
            print(os.getpid(), flush=True)
            sys.stdin.readline()
            os._exit(0)
        os.wait()
    """)
    client = flowing.python(
        """
        peer = create_connection(("127.0.0.1", int(sys.argv[1])))
        peer.send(b"hello")
        sys.stdin.readline()
        """,
        number(server),
    )
    child = number(server)
    flowing.wait(lambda: FlowAction.ONGOING in flowing.actions(child))
    tell(client)
    tell(server)


def test_ping_without_privileges(flowing: Flowing) -> None:
    """A datagram socket of ICMP: its identifier is its port."""
    ping = flowing.python(
        """
        import subprocess
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        with open("/proc/sys/net/ipv4/ping_group_range", "w") as allowed:
            allowed.write("0 0")
        out = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)
        out.sendto(struct.pack("!BBHHH", 8, 0, 0, 0, 1), ("127.0.0.1", 0))
        assert out.recv(100)[0] == 0
        """,
        prefix=["unshare", "--net"],
    )
    flowing.end(ping)
    assert {("icmp", 8)} == {(flow.protocol, flow.icmp_type) for flow in flowing.of(ping.pid)}
    assert FlowAction.OUTGOING | FlowAction.ONGOING | FlowAction.ENDED in flowing.actions(ping.pid)
    assert 1 == len(flowing.known(ping.pid))


def test_sockets_that_were_there_before(make_flowing: Callable[..., Flowing]) -> None:
    flowing = make_flowing()
    server = flowing.python(SERVER)
    port = number(server)
    client = flowing.python(
        """
        peer = create_connection(("127.0.0.1", int(sys.argv[1])))
        out = socket(AF_INET6, SOCK_DGRAM)
        out.connect(("::1", 9))
        print(peer.getsockname()[1], flush=True)
        sys.stdin.readline()
        """,
        port,
    )
    local = number(client)
    # Before it is accepted, a connection is nobody's.
    assert 0 == number(server)
    flowing.start()
    flowing.sensor.take_existing()
    flowing.wait(lambda: {server.pid, client.pid} <= {flow.process.pid for flow in flowing.seen})
    there = FlowAction.STARTED | FlowAction.ONGOING
    assert there | FlowAction.OUTGOING == flowing.actions(client.pid, protocol="tcp")
    assert there | FlowAction.INCOMING == flowing.actions(server.pid, protocol="tcp")
    assert FlowAction.STARTED == flowing.actions(client.pid, protocol="udp")
    [seen] = [flow for flow in flowing.of(client.pid) if flow.protocol == "tcp"]
    assert (("127.0.0.1", local), ("127.0.0.1", port)) == (
        (seen.local.address, seen.local.port),
        (seen.remote.address, seen.remote.port),
    )
    tell(client)
    flowing.end(client)
    flowing.end(server)
    assert FlowAction.ENDED | FlowAction.TERMINATOR in flowing.actions(client.pid, protocol="tcp")
    assert FlowAction.ENDED | FlowAction.TERMINATED in flowing.actions(server.pid)


TALKS = """
    server = create_server(("127.0.0.1", 0))
    peer = create_connection(server.getsockname())
    other = server.accept()[0]
    out = socket(AF_INET6, SOCK_DGRAM)
    out.connect(("::1", 9))
    print(1, flush=True)
    for line in sys.stdin:
        peer.send(b"x")
        other.recv(1)
        print(1, flush=True)
"""


def test_sockets_of_other_cgroups_are_not_ours(make_flowing: Callable[..., Flowing]) -> None:
    flowing = make_flowing()
    with new_cgroup("elsewhere") as elsewhere, new_cgroup("deeper", below=flowing.cgroup) as below:
        inside, deeper, outside = (
            flowing.python(TALKS, cgroup=cgroup) for cgroup in (flowing.cgroup, below, elsewhere)
        )
        for program in (inside, deeper, outside):
            assert 1 == number(program)
        flowing.start()
        flowing.sensor.take_existing()
        # Whoever uses its sockets now is seen by hooks that no cgroup bounds.
        for program in (outside, inside, deeper):
            tell(program, "on")
            assert 1 == number(program)
        flowing.wait(lambda: {inside.pid, deeper.pid} <= {flow.process.pid for flow in flowing.seen})
        for program in (inside, deeper):
            assert flowing.actions(program.pid, protocol="tcp") & FlowAction.STARTED
            assert FlowAction.STARTED == flowing.actions(program.pid, protocol="udp")
        owners = {one.owner.pid for _, one in flowing.sensor._sockets.entries()}
        assert {inside.pid, deeper.pid} <= owners
        for program in (outside, inside, deeper):
            flowing.end(program)
        assert {inside.pid, deeper.pid} == {flow.process.pid for flow in flowing.seen}
        assert {inside.pid, deeper.pid} == owners


def test_many_at_once(flowing: Flowing) -> None:
    """Threads that accept hold the listener's lock while others connect, on whose behalf it answers."""
    server = flowing.python("""
        import threading
        server = create_server(("127.0.0.1", 0), backlog=512)
        print(server.getsockname()[1], flush=True)
        def serve():
            while True:
                peer, _ = server.accept()
                while peer.recv(100):
                    peer.send(b"y")
                peer.close()
        for _ in range(8):
            threading.Thread(target=serve, daemon=True).start()
        sys.stdin.readline()
        os._exit(0)
    """)
    port = number(server)
    code = """
        for _ in range(300):
            with create_connection(("127.0.0.1", int(sys.argv[1]))) as peer:
                peer.send(b"x")
                peer.recv(10)
    """
    clients = [flowing.python(code, port) for _ in range(3)]
    for client in clients:
        flowing.end(client)
    tell(server)
    flowing.end(server)
    flowing.sensor.sweep()
    served: dict[int, FlowAction] = {}
    made: dict[int, FlowAction] = {}
    for flow in flowing.seen:
        assert flow.process.pid == server.pid if flow.local.port == port else flow.process.pid != server.pid
        seen, peer = (served, flow.remote.port) if flow.local.port == port else (made, flow.local.port)
        seen[peer] = seen.get(peer, FlowAction(0)) | flow.new
    there_and_back = ALL_FLOW_ACTIONS & ~(FlowAction.INCOMING | FlowAction.OUTGOING)
    incoming = there_and_back & ~FlowAction.TERMINATOR | FlowAction.INCOMING
    outgoing = there_and_back & ~FlowAction.TERMINATED | FlowAction.OUTGOING
    assert [900, {incoming}] == [len(served), {*served.values()}]
    assert [900, {outgoing}] == [len(made), {*made.values()}]


def test_own_flows_are_not_told(flowing: Flowing) -> None:
    """The daemon would otherwise be told of what it sends because it was told."""
    sender = flowing.python("""
        sys.stdin.readline()
        socket(AF_INET, SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9))
    """)
    other = flowing.python('socket(AF_INET, SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9))')
    flowing.sensor.set_agent(sender.pid)
    tell(sender)
    flowing.end(sender)
    flowing.end(other)
    flowing.wait(lambda: flowing.of(other.pid) != [])
    assert [] == flowing.of(sender.pid)
