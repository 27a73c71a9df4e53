"""Run inside a virtual machine: the network's programs load, attach, and enforce a policy. Exit status 0 if so."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from raqib.kernel.network import can_destroy_sockets, find_cgroup2
from raqib.netpolicy.host import Host
from raqib.netpolicy.policy import NetworkPolicy
from raqib.netpolicy.spec import policy_from
from raqib.sensors.network import NetworkSensor

DENIED, ALLOWED, PORT = "127.0.7.1", "127.0.7.2", 8053
POLICY = "network_policy: {rules: [{cidr: 127.0.7.1, policy: deny}, {domain: denied.test, policy: deny}]}"
QUESTION = b"\0\1\1\0\0\1\0\0\0\0\0\0\6denied\4test\0\0\1\0\1"


def child_cgroup() -> Path:
    root = find_cgroup2()
    if root is None:
        root = Path(tempfile.mkdtemp(prefix="raqib-cgroup-"))
        subprocess.run(["mount", "-t", "cgroup2", "none", root], check=True)
    made = root / "raqib-smoke"
    made.mkdir(exist_ok=True)
    return made


def answered(address: str, server: socket.socket) -> bool:
    """Whether a datagram to an address arrives at the server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"hello", (address, PORT))
    try:
        return server.recv(16) == b"hello"
    except TimeoutError:
        return False


def answer_learned(policy: NetworkPolicy, address: bytes) -> bool:
    """Whether the answer of a resolver on loopback teaches the address of a denied name."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        resolver.bind((ALLOWED, 53))
        resolver.settimeout(5)
        client.settimeout(5)
        client.connect((ALLOWED, 53))
        client.send(QUESTION)
        asked, asker = resolver.recvfrom(512)
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + address
        resolver.sendto(asked[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + asked[12:] + record, asker)
        client.recv(512)
    learned = policy.tables.learned
    return learned.get(learned.key({"bytes": bytes(10) + b"\xff\xff" + address})) is not None


def connection_ends(policy: NetworkPolicy) -> bool:
    """Whether a connection to what is blocked ends."""
    with socket.create_server(("127.0.7.3", PORT)) as listener:
        accepted: list[socket.socket] = []
        thread = threading.Thread(target=lambda: accepted.append(listener.accept()[0]))
        thread.start()
        with socket.create_connection(("127.0.7.3", PORT)) as client:
            thread.join()
            client.settimeout(5)
            # Not through the guards: on loopback they refuse, and rightly.
            blocked, _ = policy_from("network_policy: {rules: [{cidr: 127.0.7.3, policy: deny}]}", "smoke")
            assert blocked is not None
            policy.use(blocked)
            try:
                client.recv(1)
            except ConnectionAbortedError:
                return True
            finally:
                for connection in accepted:
                    connection.close()
    return False


def main() -> int:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=False)
    cgroup = child_cgroup()
    sensor = NetworkSensor()
    try:
        policy = NetworkPolicy(sensor.bpf, lambda: Host(resolvers=frozenset({socket.inet_aton(ALLOWED)})))
        spec, _ = policy_from(POLICY, "smoke")
        assert spec is not None
        policy.use(spec)
        sensor.start(cgroup)
        (cgroup / "cgroup.procs").write_text(str(os.getpid()))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("0.0.0.0", PORT))
            server.settimeout(0.5)
            found = {
                "allowed": answered(ALLOWED, server),
                "denied": answered(DENIED, server),
                "learned": answer_learned(policy, b"\xc0\0\2\7"),
                "ended": connection_ends(policy),
            }
        policy.close()
    finally:
        sensor.close()
        (cgroup.parent / "cgroup.procs").write_text(str(os.getpid()))
        cgroup.rmdir()
    how = "a program" if can_destroy_sockets() else "netlink"
    print(f"kernel {platform.release()}: network policy {found}, connections ended by {how}")
    return 0 if found == {"allowed": True, "denied": False, "learned": True, "ended": True} else 1


if __name__ == "__main__":
    sys.exit(main())
