from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from raqib.actions.network_access import NetworkAccess
from raqib.actions.settings import Places
from raqib.model.detection import Detection
from raqib.model.execution import BreakerOpened, Finished, LogLine, Notice
from raqib.model.process import Process
from raqib.model.recipe import RecipeInfo
from raqib.reactions import Reactions, ReactionSettings
from raqib.testing import make_detection


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        for item in items:
            if "kernel/reactions" in str(item.path):
                item.add_marker(pytest.mark.skip(reason="needs root: workers change their user and namespaces"))


class Host:
    """Running reactions, and all that they reported."""

    def __init__(self, settings: ReactionSettings, places: Places, network: NetworkAccess | None = None) -> None:
        self.settings, self.places = settings, places
        self.lines: list[LogLine] = []
        self.finished: list[Finished] = []
        self.any_finished = asyncio.Event()
        self.on_log: Callable[[LogLine], None] = self.lines.append
        self.notices: list[Notice] = []
        self.opened: list[BreakerOpened] = []
        self.reactions = Reactions(
            settings,
            places,
            on_log=lambda line: self.on_log(line),
            on_finished=self._on_finished,
            on_notify=self.notices.append,
            network=lambda: network,
            on_breaker=self.opened.append,
        )

    def _on_finished(self, finished: Finished) -> None:
        self.finished.append(finished)
        self.any_finished.set()

    @property
    def texts(self) -> list[str]:
        return [line.text for line in self.lines]

    @property
    def ledger(self) -> list[dict[str, Any]]:
        lines = (self.places.data_dir / "ledger.jsonl").read_bytes().splitlines()
        return [msgspec.json.decode(line) for line in lines]

    def next_line(self) -> asyncio.Event:
        """Return an event that the next line of the log sets."""
        told = asyncio.Event()

        def keep(line: LogLine) -> None:
            self.lines.append(line)
            told.set()

        self.on_log = keep
        return told

    async def submit(self, detection: Detection) -> list[Finished]:
        before = len(self.finished)
        self.reactions.submit(detection)
        await self.reactions.drain()
        return self.finished[before:]

    async def run(self, code: str, ancestry: Sequence[Process] = (), recipe: RecipeInfo | None = None) -> Finished:
        (finished,) = await self.submit(make_detection(code, ancestry=ancestry, recipe=recipe))
        return finished

    async def warm(self, workers: int) -> None:
        """Wait until that many workers are ready."""
        async with asyncio.timeout(60):
            await self.reactions.wait_ready(workers)


Scenario = Callable[[Host], Coroutine[Any, Any, None]]
RunScenario = Callable[..., Host]


@pytest.fixture
def run_scenario(tmp_path: Path) -> RunScenario:
    """Runs a coroutine with started reactions, and closes them."""

    def run(scenario: Scenario, network: NetworkAccess | None = None, **settings: Any) -> Host:
        settings = {"workers": 2, "timeout_s": 10.0, **settings}
        host = Host(ReactionSettings(**settings), Places(tmp_path / "data"), network)

        async def main() -> None:
            await host.reactions.start()
            try:
                await scenario(host)
            finally:
                await host.reactions.close()

        asyncio.run(main())
        return host

    return run


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Poll a condition that nothing can be notified of."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("the condition did not come true in time")
        time.sleep(0.002)
