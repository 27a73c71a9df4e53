"""What is pinned outlives the daemon, is taken over by the next one, and goes when it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from raqib.errors import NotPermittedError
from raqib.kernel.network import NETWORK_HOOKS
from raqib.model.clock import boottime_ns
from raqib.netpolicy.blocks import Blocks
from raqib.netpolicy.guards import Guards
from raqib.netpolicy.host import Host
from raqib.netpolicy.lock import locked
from raqib.netpolicy.pins import Pins
from raqib.netpolicy.policy import NetworkPolicy
from raqib.netpolicy.tables import Tables
from raqib.sensors.network import NetworkSensor
from tests.kernel.net.conftest import CLIENTS_HOST
from tests.kernel.net.enforcing import OWNER, spec
from tests.kernel.net.lab import IPV4, IPV6, Lab
from tests.kernel.net.test_attach import attached_to

WEB4, WEB6 = IPV4["web"], IPV6["web"]


@pytest.fixture
def pins() -> Iterator[Pins]:
    made = Pins(Path(f"/sys/fs/bpf/raqib-test-{os.getpid()}"))
    made.make()
    yield made
    made.remove()
    assert not made.root.exists()


class Daemon:
    """What a daemon does with the pins."""

    def __init__(self, pins: Pins, cgroup: Path) -> None:
        self.sensor = NetworkSensor({"net_records": 1 << 16}, pins=pins.maps())
        self.policy = NetworkPolicy(self.sensor.bpf, lambda: CLIENTS_HOST, shared=pins.directory)
        self.sensor.start(cgroup, pins.attach)

    def close(self) -> None:
        self.policy.close()
        self.sensor.close()


def test_a_policy_outlives_its_daemon(lab: Lab, pins: Pins) -> None:
    first = Daemon(pins, lab.cgroup)
    first.policy.use(spec(f"rules: [{{cidr: {WEB4}, policy: deny}}, {{domain: web.test, policy: deny}}]"))
    first.policy.blocks.block(WEB6, **OWNER)
    assert [WEB4] == lab.client.ask("resolve", name="web.test")
    first.close()
    with lab.count("web") as came:
        for address in (WEB4, WEB6):
            assert "unreachable" == lab.client.ask("tcp", address=address)
    assert [0] == came
    second = Daemon(pins, lab.cgroup)
    try:
        assert [WEB6] == [block.target for block in second.policy.blocks.list()]
        assert list(NETWORK_HOOKS) == sorted(attached_to(lab.cgroup) & set(NETWORK_HOOKS))
        assert "unreachable" == lab.client.ask("tcp", address=WEB6)
        second.policy.blocks.unblock(WEB6, by="recipe")
        second.policy.use(spec("rules: [{domain: web.test, policy: deny}]"))
        assert "hello" == lab.client.ask("tcp", address=WEB6)
        # What was learned before is still denied by the same rule.
        assert "unreachable" == lab.client.ask("tcp", address=WEB4)
    finally:
        second.close()


class Meanwhile:
    """Does something in another thread while a daemon counts blocks, and gives it a moment to come in between."""

    def __init__(self, daemon: Daemon, do: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
        self._thread = threading.Thread(target=do)
        self._table = daemon.policy.tables.domain_blocks
        self._entries = self._table.entries
        monkeypatch.setattr(self._table, "entries", self._slowly)

    def _slowly(self) -> Iterator[Any]:
        found = list(self._entries())
        if not self._thread.ident:
            self._thread.start()
            self._thread.join(0.3)
        return iter(found)

    def done(self) -> None:
        self._thread.join(5.0)
        assert self._thread.ident
        assert not self._thread.is_alive()


def test_off_is_not_undone_by_a_block_that_comes_at_the_same_time(
    pins: Pins, cgroup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Daemon(pins, cgroup)) as daemon:
        off = Meanwhile(daemon, pins.switch_off, monkeypatch)
        daemon.policy.blocks.block(WEB4, **OWNER)
        off.done()
        assert daemon.policy.tables.is_off
        daemon.policy.blocks.block(WEB6, **OWNER)
        assert daemon.policy.tables.is_off
    pins.make()  # as it was


def test_blocks_of_domains_by_two_at_once_are_all_counted(
    pins: Pins, cgroup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Daemon(pins, cgroup)) as daemon, closing(pins.open()) as bpf:
        others = Blocks(Tables(bpf, pins.directory), Guards(Host))
        other = Meanwhile(daemon, lambda: others.block_domain("other.example", **OWNER), monkeypatch)
        daemon.policy.blocks.block(WEB4, **OWNER)
        other.done()
        assert 1 == daemon.policy.tables.switch().domain_blocks


def test_off_does_not_wait_for_one_that_hangs(pins: Pins, cgroup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raqib.netpolicy.lock.PATIENCE_S", 0.1)
    with closing(Daemon(pins, cgroup)) as daemon:
        with locked(pins.directory):
            pins.switch_off()
        assert daemon.policy.tables.is_off
    pins.make()


def test_another_cgroup_is_taken(lab: Lab, pins: Pins, cgroup: Path) -> None:
    Daemon(pins, cgroup).close()
    assert set(NETWORK_HOOKS) <= attached_to(cgroup)
    Daemon(pins, lab.cgroup).close()
    assert set() == attached_to(cgroup)
    assert set(NETWORK_HOOKS) <= attached_to(lab.cgroup)


def test_off_is_off(lab: Lab, pins: Pins) -> None:
    daemon = Daemon(pins, lab.cgroup)
    daemon.policy.use(spec("rules: [{cidr: 10.99.3.0/24, policy: deny}]"))
    daemon.policy.blocks.block(WEB6, **OWNER)
    try:
        pins.switch_off()
        # Also for the daemon that still runs.
        assert daemon.policy.tables.is_off
        for address in (WEB4, WEB6):
            assert "hello" == lab.client.ask("tcp", address=address)
        assert not pins.exist
    finally:
        daemon.close()
    assert set() == attached_to(lab.cgroup)


def test_a_timer_ends_though_its_daemon_was_killed(lab: Lab, pins: Pins) -> None:
    script = f"""
        import os, signal, sys
        from pathlib import Path
        from raqib.netpolicy.pins import Pins
        from tests.kernel.net.test_pins import Daemon, OWNER
        from raqib.model.clock import boottime_ns
        daemon = Daemon(Pins(Path({str(pins.root)!r})), Path({str(lab.cgroup)!r}))
        end = boottime_ns() + int(sys.argv[1])
        daemon.policy.blocks.block({WEB4!r}, **OWNER, until_ns=end)
        print(end, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    # On a busy machine it may take longer to get here than the block lasts, or to see that it is over.
    late_ns: list[int] = []
    for lasts_ns in (1_500_000_000, 4_000_000_000, 16_000_000_000):
        command = [sys.executable, "-c", textwrap.dedent(script), str(lasts_ns)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert -signal.SIGKILL == done.returncode, done.stderr
        end = int(done.stdout)
        if boottime_ns() < end:
            late_ns.append(lab.client.ask("until_reached", address=WEB4, deadline_s=30) - end)
            assert 0 <= late_ns[-1]
            if late_ns[-1] < 100_000_000:
                return
    pytest.fail(f"expected the block to end in time, found it so many ns late: {late_ns}")


def test_a_host_without_a_bpf_filesystem_gets_one() -> None:
    script = """
        from pathlib import Path
        from raqib.kernel.pinning import is_bpf_filesystem
        from raqib.netpolicy.pins import Pins
        assert not is_bpf_filesystem(Path("/sys/fs/bpf"))
        Pins(Path("/sys/fs/bpf/raqib-test")).make()
        assert is_bpf_filesystem(Path("/sys/fs/bpf/raqib-test"))
    """
    # In a mount namespace of its own; what is mounted more than once is unmounted as often.
    words = 'while mountpoint -q /sys/fs/bpf; do umount /sys/fs/bpf; done; exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", words, "sh", sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)


def test_pins_need_a_bpf_filesystem(tmp_path: Path) -> None:
    with pytest.raises(NotPermittedError, match="mount -t bpf"):
        Pins(tmp_path / "raqib").make()
    assert [] == list(tmp_path.iterdir())
