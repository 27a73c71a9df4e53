"""What is started side by side fails alone, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raqib.agent.agent import Agent
from raqib.config.config import Config, NetworkConfig, RecipesConfig, SensorsConfig
from raqib.errors import RaqibError
from raqib.kernel.object import BpfObject
from raqib.library.library import Library
from raqib.printers import VoidPrinter
from tests.cgroups import new_cgroup

PINS = Path(f"/sys/fs/bpf/raqib-start-{os.getpid()}")
MORE_THAN_THERE_IS = 0xFFFFFFF0
"""Entries; the kernel says no before it looks for memory."""


def test_an_error_tells_what_libbpf_said_of_its_own_call() -> None:
    """Two objects are loaded at once, neither of which can be."""
    together = threading.Barrier(2)

    def load(name: str, large: str) -> str:
        together.wait()
        with pytest.raises(RaqibError) as caught:
            BpfObject({large: MORE_THAN_THERE_IS}, name=name)
        return str(caught.value)

    with ThreadPoolExecutor(2) as threads:
        for _ in range(5):
            files = threads.submit(load, "files", "processes")
            network = threads.submit(load, "net", "net_sockets")
            assert "'processes'" in files.result()
            assert "'net_sockets'" not in files.result()
            assert "'net_sockets'" in network.result()
            assert "'processes'" not in network.result()


def children() -> set[str]:
    """Return the processes that this one has started and that are not over."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


@pytest.mark.parametrize("broken", ["files", "network"])
def test_what_cannot_be_loaded_ends_everything_else(broken: str, tmp_path: Path) -> None:
    sensors = SensorsConfig(processes=MORE_THAN_THERE_IS) if broken == "files" else SensorsConfig()
    with new_cgroup("start") as cgroup:
        config = Config(
            data_dir=tmp_path / "data",
            recipes=RecipesConfig(builtin=False),
            sensors=sensors,
            network=NetworkConfig(
                cgroup=cgroup,
                enforce=True,
                pin_dir=PINS,
                sockets=MORE_THAN_THERE_IS if broken == "network" else 1024,
            ),
        )
        before = children()
        agent = Agent(config, Library(config.recipes).load().recipes, printers=[VoidPrinter()])
        with pytest.raises(RaqibError, match="cannot load the eBPF programs"):
            asyncio.run(agent.run(0.0))
    assert before == children()
    assert not PINS.exists()
