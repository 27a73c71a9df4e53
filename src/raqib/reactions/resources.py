"""Opens what the actions work with, and the directory that the workers live in."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from raqib.actions.budgets import Budgets
from raqib.actions.context import Services
from raqib.actions.created import CreatedDirectories
from raqib.actions.network_access import NetworkAccess
from raqib.actions.settings import NO_EMERGENCY, EmergencySettings, Places
from raqib.actions.store import Store
from raqib.actions.switch import Switch
from raqib.ledger.chain import Ledger
from raqib.model.execution import BreakerOpened, Notice
from raqib.reactions.settings import ReactionSettings

DRY_STORE_BYTES = 64 << 20
"""The most that dry runs may keep, in memory."""


def open_services(
    settings: ReactionSettings,
    places: Places,
    stack: contextlib.ExitStack,
    worker_pids: Callable[[], tuple[int, ...]],
    emergency: EmergencySettings = NO_EMERGENCY,
    on_breaker: Callable[[BreakerOpened], None] = lambda opened: None,
    on_notice: Callable[[Notice], None] = lambda notice: None,
    on_emergency: Callable[[str], None] = lambda reason: None,
    network: Callable[[], NetworkAccess | None] = lambda: None,
) -> Services:
    """Open ledger and data store, making their directory; the stack closes them.

    Raises OSError or RaqibError if they cannot be used.
    """
    for directory in (places.data_dir, places.evidence_dir):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    ledger = Ledger(places.data_dir / "ledger.jsonl", settings.ledger_max_bytes, settings.ledger_keep)
    stack.callback(ledger.close)
    store = Store(places.data_dir / "store.db")
    stack.callback(store.close)
    dry_store = Store(None, max_total_bytes=DRY_STORE_BYTES)
    stack.callback(dry_store.close)
    return Services(
        settings=settings,
        places=places,
        ledger=ledger,
        store=store,
        dry_store=dry_store,
        budgets=Budgets(),
        emergency=emergency,
        worker_pids=worker_pids,
        switch=Switch(places.data_dir),
        on_breaker=on_breaker,
        created=CreatedDirectories(places.data_dir / "directories.json"),
        on_notice=on_notice,
        on_emergency=on_emergency,
        network=network,
    )


def open_empty_directory(path: Path, stack: contextlib.ExitStack) -> int:
    """Make the directory that workers live in, empty and read-only, and return a descriptor of it; the stack closes it.

    Raises OSError.
    """
    path.mkdir(parents=True, exist_ok=True)
    # Whatever the umask is: the workers' user must be able to step into it.
    path.chmod(0o555)
    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    stack.callback(os.close, descriptor)
    return descriptor
