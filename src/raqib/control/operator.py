"""What somebody at the command line does through the same door: switch, undo, store. All of it is in the ledger."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from raqib.actions.arguments import size_and_hash
from raqib.actions.budgets import Budgets
from raqib.actions.context import Services
from raqib.actions.created import CreatedDirectories
from raqib.actions.declare import Done, Failed, Refused, Result
from raqib.actions.helpers.table import HELPERS
from raqib.actions.settings import ActionSettings, Places
from raqib.actions.store import Store, StoreError
from raqib.actions.switch import Switch
from raqib.control.socket import CommandResult
from raqib.errors import RaqibError
from raqib.ledger.chain import Entry, Ledger
from raqib.ledger.reading import LedgerReader, find

LEDGER_NAME, STORE_NAME, CREATED_NAME = "ledger.jsonl", "store.db", "directories.json"


class Operator:
    """Acts for a user. Its methods may block."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ledger_path = services.places.data_dir / LEDGER_NAME

    def disarm(self) -> CommandResult:
        """Switch all actions off."""
        try:
            changed = self._services.switch.disarm()
        except OSError as error:
            note = f"switched off, but this will not survive a restart: {error}"
            self._write("disarm", Done(False, note))
            return CommandResult(True, False, note)
        self._write("disarm", Done(changed))
        return CommandResult(True, changed, "" if changed else "they were off already")

    def arm(self) -> CommandResult:
        """Switch actions on again."""
        try:
            changed = self._services.switch.arm()
        except OSError as error:
            self._write("arm", Failed(str(error)))
            return CommandResult(False, None, f"actions stay off: {error}")
        self._write("arm", Done(changed))
        return CommandResult(True, changed, "" if changed else "they were on already")

    def undo(self, seq: int) -> CommandResult:
        """Take back what a line of the ledger says was done, if that can be."""
        started_ns = time.monotonic_ns()
        entry = find(self._ledger_path, seq)
        details: dict[str, Any] = {"seq": seq}
        result: Result
        if entry is None:
            result = Failed(f"the ledger has no line number {seq}")
        else:
            details["action"] = entry.action
            result = self._undo(entry)
        recipe = entry.recipe if entry else ""
        self._write("undo", result, details, recipe=recipe, uuid=entry.uuid if entry else "", started_ns=started_ns)
        return _answer(result)

    def store_set(self, recipe: str, key: str, value: str, ttl_s: float | None = None) -> CommandResult:
        """Give a key of a recipe's data a value."""

        def work() -> Result:
            self._services.store.set(recipe, key, value, ttl_s)
            return Done(0)

        return self._change_store("store_set", recipe, {"key": key, "value": size_and_hash(value)}, work)

    def store_delete(self, recipe: str, key: str) -> CommandResult:
        """Remove a key of a recipe's data."""

        def work() -> Result:
            return Done(0) if self._services.store.delete(recipe, key) else Done(0, "no such key")

        return self._change_store("store_delete", recipe, {"key": key}, work)

    def _undo(self, entry: Entry) -> Result:
        helper = HELPERS.get(entry.action)
        if helper is None or helper.undo is None:
            return Refused(f"{entry.action} cannot be undone; what can: {describe_undoable()}")
        if entry.decision != "done":
            return Refused(f"number {entry.seq} was not done, it is {entry.decision!r}")
        if (earlier := self._undone_by(entry.seq)) is not None:
            return Refused(f"number {entry.seq} was undone already, by number {earlier}")
        try:
            return helper.undo.do(self._services, entry)
        except (StoreError, sqlite3.Error, OSError, KeyError, TypeError) as error:
            return Failed(f"{entry.action} could not be undone: {error}")

    def _undone_by(self, seq: int) -> int | None:
        reader = LedgerReader(self._ledger_path, seq)
        try:
            for _, entry in reader.read():
                if entry.action == "undo" and entry.decision == "done" and entry.arguments.get("seq") == seq:
                    return entry.seq
        finally:
            reader.close()
        return None

    def _change_store(
        self, action: str, recipe: str, details: dict[str, Any], work: Callable[[], Result]
    ) -> CommandResult:
        started_ns = time.monotonic_ns()
        result: Result
        try:
            result = work()
        except (StoreError, sqlite3.Error) as error:
            result = Failed(str(error))
        self._write(action, result, details, recipe=recipe, started_ns=started_ns)
        return _answer(result)

    def _write(
        self,
        action: str,
        result: Result,
        details: dict[str, Any] | None = None,
        *,
        recipe: str = "",
        uuid: str = "",
        started_ns: int = 0,
    ) -> None:
        self._services.ledger.append(
            Entry(
                action=action,
                arguments=details or {},
                recipe=recipe,
                uuid=uuid,
                decision="done" if isinstance(result, Done) else "refused" if isinstance(result, Refused) else "error",
                reason=result.reason,
                result=result.value if isinstance(result, Done) else None,
                duration_us=(time.monotonic_ns() - started_ns) // 1000 if started_ns else 0,
            )
        )


def _answer(result: Result) -> CommandResult:
    return CommandResult(isinstance(result, Done), result.value if isinstance(result, Done) else None, result.reason)


def undoable(ledger: Path) -> list[int]:
    """Return the numbers of the lines whose actions can be taken back and have not been. Raises OSError."""
    able = {helper.name for helper in HELPERS.values() if helper.undo is not None}
    found: dict[int, None] = {}
    reader = LedgerReader(ledger)
    try:
        for _, entry in reader.read():
            if entry.decision != "done":
                continue
            if entry.action in able:
                found[entry.seq] = None
            elif entry.action == "undo":
                found.pop(entry.arguments.get("seq", 0), None)
    finally:
        reader.close()
    return list(found)


def describe_undoable() -> str:
    """Return which actions can be undone, and how."""
    return "; ".join(f"{helper.name} ({helper.undo.says})" for helper in HELPERS.values() if helper.undo is not None)


@contextlib.contextmanager
def operating_on(data_dir: Path) -> Iterator[Operator]:
    """Act on a data directory that no agent uses.

    Raises RaqibError if one does, or if there is no such directory; OSError if it cannot be used.
    """
    if not data_dir.is_dir():
        raise RaqibError(f"{data_dir}: expected a data directory, found none; give the right one with --data-dir")
    with contextlib.ExitStack() as stack:
        ledger = Ledger(data_dir / LEDGER_NAME)
        stack.callback(ledger.close)
        store = Store(data_dir / STORE_NAME)
        stack.callback(store.close)
        created = CreatedDirectories(data_dir / CREATED_NAME)
        settings, places = ActionSettings(), Places(data_dir)
        switch = Switch(data_dir)
        yield Operator(Services(settings, places, ledger, store, store, Budgets(), switch=switch, created=created))
