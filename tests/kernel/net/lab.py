"""A network of namespaces: a client, a router, a DNS server, two web servers, one of which has only IPv6.

    client 10.99.1.2 fd99:1::2 ─┐
    dns    10.99.2.2 fd99:2::2 ─┤
    web    10.99.3.2 fd99:3::2 ─┼─ router (.1)
    web6             fd99:4::2 ─┘

The client's processes are in a cgroup of their own; everybody else is beside it.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NAMES = ("client", "dns", "web", "web6")
IPV4 = {name: f"10.99.{number}.2" for number, name in enumerate(NAMES, 1)}
IPV6 = {name: f"fd99:{number}::2" for number, name in enumerate(NAMES, 1)}
WAIT_S = 100.0
_numbers = itertools.count()


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Actor:
    """A Python process in a namespace (and a cgroup) that does what it is told, one JSON line each."""

    def __init__(self, namespace: str, script: str, *arguments: str, cgroup: Path | None = None) -> None:
        def join() -> None:
            if cgroup is not None:
                (cgroup / "cgroup.procs").write_text("0")

        self.process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, sys.executable, HERE / script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=join,  # nothing else runs between fork and exec here
        )
        assert self.process.stdout is not None
        assert "ready\n" == self.process.stdout.readline()

    def ask(self, what: str, **arguments: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the process ended instead of answering {what}"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Lab:
    """The namespaces, and a process in each."""

    def __init__(self, cgroup: Path) -> None:
        self.cgroup = cgroup
        self._stack = ExitStack()
        self._prefix = f"rq{os.getpid()}n{next(_numbers)}"
        try:
            self._build()
            self.dns = self._actor("dns", "serve.py", "dns")
            self.web = self._actor("web", "serve.py", "web")
            self.web6 = self._actor("web6", "serve.py", "web")
            self.client = self.new_client()
        except BaseException:
            self.close()
            raise

    def namespace(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def _build(self) -> None:
        for name in (*NAMES, "router"):
            ip("netns", "add", self.namespace(name))
            self._stack.callback(ip, "netns", "delete", self.namespace(name))
            ip("-n", self.namespace(name), "link", "set", "lo", "up")
        router = self.namespace("router")
        for switch in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"):
            subprocess.run(["ip", "netns", "exec", router, "sysctl", "-qw", switch], check=True)
        for number, name in enumerate(NAMES, 1):
            inside = self.namespace(name)
            ip("-n", router, "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", inside)
            for namespace, device, last in ((router, f"to-{name}", 1), (inside, "eth0", 2)):
                if name != "web6":
                    ip("-n", namespace, "addr", "add", f"10.99.{number}.{last}/24", "dev", device)
                ip("-n", namespace, "addr", "add", f"fd99:{number}::{last}/64", "dev", device, "nodad")
                ip("-n", namespace, "link", "set", device, "up")
            if name != "web6":
                ip("-n", inside, "route", "add", "default", "via", f"10.99.{number}.1")
            ip("-n", inside, "-6", "route", "add", "default", "via", f"fd99:{number}::1")

    def _actor(self, name: str, script: str, *arguments: str, cgroup: Path | None = None) -> Actor:
        actor = Actor(self.namespace(name), script, *arguments, cgroup=cgroup)
        self._stack.callback(actor.close)
        return actor

    def new_client(self) -> Actor:
        """Another process of the client, in the cgroup."""
        return self._actor("client", "act.py", cgroup=self.cgroup)

    def received(self, name: str) -> int:
        """How many IP packets of the client have come to a server, neighbours and routers left out."""
        server: Actor = getattr(self, name)
        return int(server.ask("received"))

    @contextmanager
    def count(self, name: str) -> Iterator[list[int]]:
        """Count the client's packets that come to a server meanwhile."""
        counted: list[int] = []
        before = self.received(name)
        yield counted
        counted.append(self.received(name) - before)

    def answers(self, **names: Any) -> None:
        """What the DNS server says of names; dots are written as two underscores."""
        self.dns.ask("answers", names={name.replace("__", "."): records for name, records in names.items()})

    def close(self) -> None:
        self._stack.close()
