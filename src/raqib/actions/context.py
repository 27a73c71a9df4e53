"""What an action knows about the execution that asks for it, and what it acts through."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from raqib.actions.budgets import Budgets
from raqib.actions.created import CreatedDirectories
from raqib.actions.machine import Machine
from raqib.actions.network_access import NetworkAccess
from raqib.actions.settings import NO_EMERGENCY, ActionSettings, EmergencySettings, FileBounds, Places
from raqib.actions.store import Store
from raqib.actions.switch import Switch
from raqib.ledger.chain import Ledger
from raqib.model.detection import Detection
from raqib.model.execution import BreakerOpened, Budget, Notice


def _no_pids() -> tuple[int, ...]:
    return ()


def _no_network() -> None:
    """There is none."""


def _tell_nobody(told: object) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True)
class Services:
    """What all actions share."""

    settings: ActionSettings
    places: Places
    ledger: Ledger
    store: Store
    dry_store: Store
    """Stands in for the store in a dry run; in memory."""
    budgets: Budgets
    bounds: FileBounds = field(default_factory=FileBounds)
    emergency: EmergencySettings = NO_EMERGENCY
    """Which of PowerOff and Panic may be used."""
    worker_pids: Callable[[], tuple[int, ...]] = _no_pids
    daemon_pid: int = field(default_factory=os.getpid)
    switch: Switch = field(default_factory=Switch)
    on_breaker: Callable[[BreakerOpened], None] = _tell_nobody
    """Called from whatever thread the action runs in."""
    created: CreatedDirectories = field(default_factory=CreatedDirectories)
    """The directories that helpers created."""
    on_notice: Callable[[Notice], None] = _tell_nobody
    """Called in the event loop; must not block."""
    on_emergency: Callable[[str], None] = _tell_nobody
    """Writes to the log, at once and from any thread, why the host goes down."""
    machine: Machine = field(default_factory=Machine)
    network: Callable[[], NetworkAccess | None] = _no_network
    """What there is of the network now; None where no network policy is enabled. Called from any thread."""


MAX_UNDONE_IN_FULL = 256
"""So many refused and failed calls of one execution are in the ledger with their arguments."""


@dataclass(slots=True)
class Undone:
    """Counts the calls of one execution that were refused or failed."""

    count: int = 0

    @property
    def many(self) -> bool:
        """Whether the ledger has the latest one without its arguments: else one execution could fill all of it."""
        return self.count > MAX_UNDONE_IN_FULL


SMALL_VOLUME = 128
"""Arguments of so many bytes are always in the ledger."""
MAX_VOLUME = 256 << 10
"""So many bytes of larger ones are there of one execution; of all others their size and hash."""
MAX_RECIPE_VOLUME = 4 << 20
"""And so many of a recipe in a minute."""


@dataclass(slots=True)
class Volume:
    """Counts the bytes of arguments that one execution has in the ledger."""

    count: int = 0


@dataclass(frozen=True, slots=True)
class ActionContext:
    """One execution of one reaction."""

    detection: Detection
    reaction: int
    dry_run: bool
    services: Services
    notices: list[str] = field(default_factory=list)
    """The titles that this execution has sent so far."""
    undone: Undone = field(default_factory=Undone)
    """Calls of this execution that were refused or failed so far."""
    volume: Volume = field(default_factory=Volume)

    def has_room_in_ledger(self, size: int) -> bool:
        """Tell whether arguments of so many bytes have room in the ledger, and count them.

        The ledger keeps so much, of all recipes: who calls often must not push out what others did.
        """
        if size <= SMALL_VOLUME:
            return True
        budgets, recipe = self.services.budgets, self.recipe
        if self.volume.count >= MAX_VOLUME or not budgets.spend("ledger_bytes", recipe, MAX_RECIPE_VOLUME, size):
            return False
        self.volume.count += size
        return True

    def now(self) -> ActionContext:
        """Return the context as it is for one call: dry if all actions were switched off meanwhile."""
        return self if self.dry_run or self.services.switch.armed else replace(self, dry_run=True)

    def limit_of(self, budget: Budget) -> int:
        """Return how many actions a minute the recipe may take, its own wish within the ceiling."""
        settings, recipe = self.services.settings, self.detection.recipe
        default: int = getattr(settings, f"{budget}_per_minute")
        if recipe.importance == "critical":
            default = getattr(settings, f"critical_{budget}_per_minute", default)
        if budget not in ("kills", "blocks"):
            return default
        ceiling: int = getattr(settings, f"max_{budget}_per_minute")
        wanted: int | None = getattr(recipe.limits, f"{budget}_per_minute")
        return default if wanted is None else min(wanted, max(default, ceiling))

    def spend(self, budget: Budget, amount: int = 1) -> bool:
        """Take from the recipe's budget; False if nothing is left of it, which is told once."""
        limit, budgets, recipe = self.limit_of(budget), self.services.budgets, self.detection.recipe
        if budgets.spend(budget, recipe.name, limit, amount):
            return True
        if budgets.just_opened(budget, recipe.name):
            uuid = self.detection.event.uuid
            self.services.on_breaker(BreakerOpened(recipe.kind, recipe.name, recipe.importance, budget, limit, uuid))
        return False

    def charge(self, budget: Budget, amount: int) -> None:
        """Take from the recipe's budget what was used already."""
        self.services.budgets.charge(budget, self.recipe, amount)

    def used_up(self, budget: Budget) -> str:
        """Return why nothing more is taken from a budget."""
        return f"the recipe's budget of {self.limit_of(budget)} {budget} a minute is used up"

    @property
    def recipe(self) -> str:
        """The recipe's name: the store's namespace and the budgets' key."""
        return self.detection.recipe.name

    @property
    def store(self) -> Store:
        """The store that this execution may change."""
        return self.services.dry_store if self.dry_run else self.services.store
