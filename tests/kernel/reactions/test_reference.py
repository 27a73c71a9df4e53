"""Every example of the reference page does what the page says, in a real worker."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from raqib.actions.helpers.table import HELPERS
from raqib.actions.network_access import NetworkAccess
from raqib.agent.net_blocks import BlocksOfHelpers
from raqib.model.process import Process
from raqib.netpolicy.host import Host as NetworkHost
from raqib.testing import live_process, make_recipe
from tests.cgroups import new_cgroup
from tests.kernel.net.enforcing import Enforcer

from .conftest import Host, RunScenario

PARENT = "import subprocess; child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); child.wait()"


@contextlib.contextmanager
def family() -> Iterator[list[Process]]:
    """A parent and its child, both ended in any case."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        pidfd = os.pidfd_open(child)
        try:
            yield [live_process(parent.pid), live_process(child)]
        finally:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
            parent.kill()


@pytest.fixture
def network() -> Iterator[NetworkAccess]:
    """A network policy on a cgroup of its own, in which nobody is."""
    with new_cgroup("examples") as cgroup:
        enforcer = Enforcer(cgroup, NetworkHost())
        yield NetworkAccess(BlocksOfHelpers(enforcer.blocks), lambda detection: [])
        enforcer.close()


def test_every_example(run_scenario: RunScenario, network: NetworkAccess) -> None:
    logged: dict[str, str] = {}

    async def scenario(host: Host) -> None:
        for name, helper in HELPERS.items():
            before = len(host.lines)
            recipe = make_recipe(f"function process(data) {{\n{helper.about.example}\n}}", name=f"example_{name}")
            with family() as ancestry:
                finished = await host.run("", ancestry, recipe=recipe)
            assert "ok" == finished.outcome, finished.error
            logged[name] = "\n".join(line.text for line in host.lines[before:] if line.level == "info")

    run_scenario(scenario, network)
    assert {name: helper.about.prints for name, helper in HELPERS.items()} == logged
