"""What the network programs cost: TCP throughput, and the round trip of 64 bytes, over loopback and over a veth pair.

Without raqib, with it, with it and a policy of 100,000 networks, and with nftables and the same set instead. They are
measured in turn, so that what else the machine does hits all; both ends of the connection are in the cgroup, so that
each packet is looked at twice, as nftables does. Whoever sends the 64 bytes and whoever answers share a processor.
Prints one line of JSON: medians, and their ratios to the one without;
`processor_ratio` compares the processor's time for a mebibyte or a round trip, which other work disturbs less.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from raqib.kernel.network import find_cgroup2
from raqib.netpolicy.host import Host
from raqib.netpolicy.policy import NetworkPolicy
from raqib.netpolicy.spec import PolicySpec, policy_from
from raqib.sensors.network import NetworkSensor

RULES = 100_000
ROUNDS = 9
SECONDS = 0.6
KINDS = ("throughput", "latency")
NFT = "nft"

Variant = Callable[[], contextlib.AbstractContextManager[None]]


def networks(count: int) -> list[str]:
    """As many different networks, none of which is ours."""
    chance = random.Random(1)
    found: set[str] = set()
    while len(found) < count:
        first, second, third = chance.randrange(11, 120), chance.randrange(256), chance.randrange(256)
        found.add(f"{first}.{second}.{third}.0/24")
    return sorted(found)


class Place:
    """Two namespaces with a veth pair, a cgroup, and the program that is measured."""

    def __init__(self, stack: ExitStack) -> None:
        self.names = [f"rqb{os.getpid()}{end}" for end in "ab"]
        for name in self.names:
            _run("ip", "netns", "add", name)
            stack.callback(_run, "ip", "netns", "delete", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        here, there = self.names
        _run("ip", "-n", here, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", there)
        for number, name in enumerate(self.names, 1):
            _run("ip", "-n", name, "addr", "add", f"10.98.0.{number}/24", "dev", "eth0")
            _run("ip", "-n", name, "link", "set", "eth0", "up")
        root = find_cgroup2()
        assert root is not None, "expected cgroup v2"
        self.cgroup = root / f"raqib-bench-{os.getpid()}"
        self.cgroup.mkdir()
        stack.callback(self.cgroup.rmdir)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="raqib-bench-")))
        self.program = directory / "stream"
        _run("cc", "-O2", "-o", str(self.program), str(Path(__file__).with_name("stream.c")))

    def measure(self, kind: str, path: str) -> tuple[float, float]:
        words = [str(self.program), kind, str(SECONDS), "127.0.0.1"]
        if path == "veth":
            words[-1:] = ["10.98.0.1", f"/run/netns/{self.names[1]}"]
        join = f"echo 0 >{self.cgroup}/cgroup.procs; exec ip netns exec {self.names[0]} " + " ".join(words)
        done = subprocess.run(["sh", "-c", join], stdout=subprocess.PIPE, text=True, check=True)
        speed, processor_ns = map(float, done.stdout.split())
        return speed, processor_ns


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@contextlib.contextmanager
def without() -> Iterator[None]:
    """Nothing."""
    yield


def raqib(place: Place, policy: PolicySpec) -> Variant:
    """The programs on the cgroup, with a policy."""

    @contextlib.contextmanager
    def variant() -> Iterator[None]:
        sensor = NetworkSensor()
        try:
            enforced = NetworkPolicy(sensor.bpf, Host)
            try:
                enforced.use(policy)
                sensor.start(place.cgroup)
                yield
            finally:
                enforced.close()
        finally:
            sensor.close()

    return variant


def nftables(place: Place, denied: list[str], directory: Path) -> Variant:
    """The same set, looked up for what leaves and what comes in."""
    script = directory / "rules.nft"
    script.write_text(
        "table inet bench {\n  set denied { type ipv4_addr; flags interval; elements = { "
        + ", ".join(denied)
        + " } }\n  chain in { type filter hook input priority 0; ip saddr @denied drop; }\n"
        "  chain out { type filter hook output priority 0; ip daddr @denied drop; }\n}\n"
    )

    @contextlib.contextmanager
    def variant() -> Iterator[None]:
        for name in place.names:
            _run("ip", "netns", "exec", name, NFT, "-f", str(script))
        try:
            yield
        finally:
            for name in place.names:
                _run("ip", "netns", "exec", name, NFT, "delete", "table", "inet", "bench")

    return variant


def main() -> None:
    """Print the result."""
    denied = networks(RULES)
    rules = "".join(f"  - {{cidr: {cidr}, policy: deny}}\n" for cidr in denied)
    began = time.process_time()
    policy, _ = policy_from(f"network_policy:\n  rules:\n{rules}", "bench")
    assert policy is not None
    parsed_s = time.process_time() - began
    with ExitStack() as stack:
        place = Place(stack)
        variants: dict[str, Variant] = {
            "without": without,
            "raqib": raqib(place, PolicySpec()),
            "raqib_100k": raqib(place, policy),
        }
        with contextlib.suppress(FileNotFoundError):
            _run(NFT, "--version")
            variants["nftables_100k"] = nftables(place, denied, place.program.parent)
        found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
        for _ in range(ROUNDS):
            for name, variant in variants.items():
                with variant():
                    for path in ("loopback", "veth"):
                        for kind in KINDS:
                            found.setdefault((path, kind, name), []).append(place.measure(kind, path))
    result: dict[str, object] = {"rules": RULES, "rounds": ROUNDS, "policy_parsed_cpu_s": round(parsed_s, 2)}
    for (path, kind, name), values in found.items():
        wall, processor = (median(column) for column in zip(*values, strict=True))
        plain_wall, plain_processor = (median(times) for times in zip(*found[path, kind, "without"], strict=True))
        result[f"{path}_{kind}_{name}"] = {
            "ns" if kind == "latency" else "bytes_per_s": round(wall),
            "ratio": round(wall / plain_wall, 3),
            "processor_ratio": round(processor / plain_processor, 3),
        }
    print(json.dumps({"network": result}))


if __name__ == "__main__":
    main()
