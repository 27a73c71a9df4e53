"""Every example of the reference page does what the page says, in a real worker."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

from raqib.actions.helpers.table import HELPERS
from raqib.model.process import Process
from raqib.testing import live_process, make_recipe

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


def test_every_example(run_scenario: RunScenario) -> None:
    logged: dict[str, str] = {}

    async def scenario(host: Host) -> None:
        for name, helper in HELPERS.items():
            before = len(host.lines)
            recipe = make_recipe(f"function process(data) {{\n{helper.about.example}\n}}", name=f"example_{name}")
            with family() as ancestry:
                finished = await host.run("", ancestry, recipe=recipe)
            assert "ok" == finished.outcome, finished.error
            logged[name] = "\n".join(line.text for line in host.lines[before:] if line.level == "info")

    run_scenario(scenario)
    assert {name: helper.about.prints for name, helper in HELPERS.items()} == logged
