"""Every example of the reference page does what the page says, in a real worker."""

from __future__ import annotations

import subprocess
from pathlib import Path

from raqib.actions.descriptions import SECTIONS
from raqib.testing import live_process, make_recipe

from .conftest import Host, RunScenario


def test_every_example(run_scenario: RunScenario) -> None:
    logged: dict[str, str] = {}

    async def scenario(host: Host) -> None:
        for name, description in [pair for helpers in SECTIONS.values() for pair in helpers.items()]:
            before = len(host.lines)
            # The shell stays the parent: it has something to do afterwards.
            with subprocess.Popen(["sh", "-c", "sleep 60; :"]) as parent:
                child = await _child(host, parent.pid)
                recipe = make_recipe(f"function process(data) {{\n{description.example}\n}}", name=f"example_{name}")
                finished = await host.run("", [live_process(parent.pid), live_process(child)], recipe=recipe)
                parent.kill()
            if Path(f"/proc/{child}").exists():
                await host.run("function process() { KillCurrent() }", [live_process(child)])
            assert "ok" == finished.outcome, finished.error
            lines = host.lines[before:]
            logged[name] = "\n".join(line.text for line in lines if line.level == "info" and line.name == recipe.name)

    run_scenario(scenario)
    assert {name: one.prints for helpers in SECTIONS.values() for name, one in helpers.items()} == logged


async def _child(host: Host, pid: int) -> int:
    children: list[str] = []
    while not children:
        result = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
        children = result.stdout.split()
        if children and Path(f"/proc/{children[0]}/comm").read_text() != "sleep\n":
            children = []
    return int(children[0])
