from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from raqib.actions.settings import Places
from raqib.control.steering import resident_bytes
from raqib.model.clock import boottime_ns
from raqib.model.detection import Detection
from raqib.model.execution import Finished
from raqib.model.recipe import Limits, RecipeInfo
from raqib.reactions import ReactionSettings
from raqib.testing import make_detection, make_recipe
from tests.kernel.reactions.conftest import Host

TIMEOUT_S = 1.5
PATIENCE_S = 60.0

VICTIM = "victim_recipe"

CANARY = """
function process(data) {
  for (const name of ["left", "alsoLeft", "stolen"]) if (globalThis[name] !== undefined) Warn("HARM: " + name);
  if ([].left !== undefined || JSON.parse("[7]")[0] !== 7 || Date.now() < 1e12 || Math.random() === 4) Warn("HARM");
  if (name !== "victim_recipe" || data.metadata.name !== name || DataGet("secret") !== "s3cret") Warn("HARM: store");
  if (Stat("/").isDir !== true || Errno() !== "") Warn("HARM: helpers");
  if (!(new Error("x") instanceof Error) || Error.stackTraceLimit !== 10) Warn("HARM: Error");
  Info("well");
}
"""


class Arena:
    """Running reactions that one attack after the other is let loose on."""

    def __init__(self, directory: Path) -> None:
        self._runner = asyncio.Runner()
        self.host = Host(ReactionSettings(workers=2, timeout_s=TIMEOUT_S), Places(directory / "data"))
        self._runner.run(self.host.reactions.start())
        self.run(make_recipe('function process() { DataSet("secret", "s3cret") }', name=VICTIM))
        self.memory_before = self.memory()

    def close(self) -> None:
        self._runner.run(self.host.reactions.close())
        self._runner.close()

    def run(self, recipe: RecipeInfo) -> Finished:
        return self._runner.run(self._run(make_detection(recipe=recipe)))

    async def _run(self, detection: Detection) -> Finished:
        async with asyncio.timeout(PATIENCE_S):
            (finished,) = await self.host.submit(detection)
        return finished

    def warm(self) -> None:
        """Wait until all workers, the spare one too, are ready."""
        self._runner.run(self.host.warm(self.host.settings.worker_count + 1))

    def attack(self, code: str, timeout_s: float | None = None) -> Finished:
        return self.run(make_recipe(code, name="attacker", limits=Limits(timeout_s=timeout_s)))

    def canary(self) -> tuple[Finished, float]:
        """Run a harmless reaction at once; return it and how long it waited and ran, in seconds."""
        began = boottime_ns()
        finished = self.run(make_recipe(CANARY, name=VICTIM))
        return finished, (boottime_ns() - began) / 1e9

    def memory(self) -> int:
        gc.collect()
        return resident_bytes(os.getpid())


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    arena = Arena(tmp_path_factory.mktemp("arena"))
    yield arena
    arena.close()
