from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from raqib.actions.budgets import Budgets
from raqib.actions.context import ActionContext, Services, Volume
from raqib.actions.created import CreatedDirectories
from raqib.actions.helpers.table import HELPERS
from raqib.actions.machine import Machine
from raqib.actions.perform import Door
from raqib.actions.settings import ActionSettings, EmergencySettings, FileBounds, Places
from raqib.actions.store import Store
from raqib.actions.switch import Switch
from raqib.ledger.chain import Ledger
from raqib.model.execution import ActionRecord, BreakerOpened, Notice
from raqib.testing import make_detection


class Unreachable(Machine):
    """Stands where the host would be taken down, and must never be reached."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    def power_off(self) -> None:
        self.reached.append("power_off")

    def panic(self) -> None:
        self.reached.append("panic")


class Acting:
    """Calls helpers through the door, as the broker does."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.writable = directory / "writable"
        data_dir = directory / "data"
        (data_dir / "evidence").mkdir(parents=True)
        self.writable.mkdir()
        self.settings = ActionSettings(write_paths=(str(self.writable),))
        self.places = Places(data_dir, temp_dir=self.writable)
        self.bounds = FileBounds(min_free_bytes=0, min_free_inodes=0)
        self.emergency = EmergencySettings()
        self.ledger_path = data_dir / "ledger.jsonl"
        self.ledger = Ledger(self.ledger_path)
        self.store = Store(data_dir / "store.db")
        self.dry_store = Store(None)
        self.budgets = Budgets()
        self.switch = Switch(data_dir)
        self.opened: list[BreakerOpened] = []
        self.door = Door()
        self.created = CreatedDirectories(data_dir / "directories.json")
        self.notices: list[Notice] = []
        self.sent: list[str] = []
        self.volume: Volume | None = None
        """Of the one execution that all calls are of; None: each is of its own."""
        self.machine = Unreachable()
        self.dry_run = False
        self.detection = make_detection("")

    def __call__(self, name: str, *arguments: Any) -> ActionRecord:
        return self.call(name, msgspec.json.encode(arguments).decode())

    def call(self, name: str, text: str) -> ActionRecord:
        """Call with arguments as JSON."""
        return asyncio.run(self.door.perform(HELPERS[name], self.context, text))

    @property
    def context(self) -> ActionContext:
        services = Services(
            self.settings,
            self.places,
            self.ledger,
            self.store,
            self.dry_store,
            self.budgets,
            self.bounds,
            self.emergency,
            switch=self.switch,
            on_breaker=self.opened.append,
            created=self.created,
            on_notice=self.notices.append,
            machine=self.machine,
        )
        return ActionContext(self.detection, 0, self.dry_run, services, self.sent, volume=self.volume or Volume())

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self.ledger_path.read_bytes().splitlines()]

    def close(self) -> None:
        self.door.close()
        self.store.close()
        self.dry_store.close()
        self.ledger.close()
        assert [] == self.machine.reached


@pytest.fixture
def act(tmp_path: Path) -> Iterator[Acting]:
    acting = Acting(tmp_path)
    yield acting
    acting.close()


Change = Callable[..., None]


@pytest.fixture
def configure(act: Acting) -> Change:
    def change(**settings: Any) -> None:
        for name, value in settings.items():
            if name == "emergency":
                act.emergency = value
            elif name in ActionSettings.__struct_fields__:
                act.settings = msgspec.structs.replace(act.settings, **{name: value})
            elif name in Places.__struct_fields__:
                act.places = msgspec.structs.replace(act.places, **{name: value})
            else:
                act.bounds = msgspec.structs.replace(act.bounds, **{name: value})

    return change
