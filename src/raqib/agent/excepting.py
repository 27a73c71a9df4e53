"""Exceptions in a running agent: what they cover is counted, and each reaction that is withheld has its line."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import structlog

from raqib.config.config import Config, ExceptionsConfig
from raqib.events.agent_events import exception_ended_event
from raqib.events.build import uuid7
from raqib.exceptions.compiled import CompiledExceptions
from raqib.exceptions.counts import Counts
from raqib.exceptions.directory import ExceptionsDirectory
from raqib.exceptions.report import summary
from raqib.exceptions.watch import Watch
from raqib.host.procfs import host_mount_namespace
from raqib.ledger.chain import Entry, Ledger
from raqib.matcher.facts import Facts
from raqib.matcher.matcher import Match
from raqib.model.event import Event
from raqib.model.excepted import Excepted
from raqib.model.flow import FlowObservation
from raqib.model.observation import FileObservation
from raqib.model.recipe import RecipeInfo

LINES_A_MINUTE: Final = 300
"""Lines in the ledger for one exception; further reactions that are withheld are counted in one."""
_MINUTE_S: Final = 60.0
_LONGEST: Final = 256


def directory_of(config: Config) -> ExceptionsDirectory:
    """Return where the exceptions of a configuration are; only the usual place need not exist."""
    path = config.exceptions.directory
    unsafe = config.recipes.allow_unsafe_owner
    return ExceptionsDirectory(path, allow_unsafe_owner=unsafe, must_exist=path != ExceptionsConfig().directory)


class Excepting:
    """Belongs to one event loop."""

    def __init__(
        self,
        directory: ExceptionsDirectory,
        data_dir: Path,
        *,
        recipes: Callable[[], Iterable[RecipeInfo]],
        ledger: Callable[[], Ledger],
        publish: Callable[[Event], object],
        use: Callable[[Callable[[RecipeInfo, Facts], Excepted | None] | None], None],
    ) -> None:
        """`use` hands matchers what they ask; None while there are no exceptions."""
        self._ledger = ledger
        self._publish = publish
        self._use = use
        self._counts = Counts(data_dir)
        self._compiled = CompiledExceptions((), 0)
        self._lines: dict[str, _Lines] = {}
        self._ended: set[str] = set()
        self._log = structlog.get_logger()
        self._watch = Watch(directory, recipes, self._apply, host_mount_namespace())

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Have the exceptions in force, and what changes of them, as long as the context is open."""
        await self._watch.load()
        task = asyncio.get_running_loop().create_task(self._watch.run())
        try:
            yield
        finally:
            self._watch.stop()
            await task
            for rule_id in list(self._lines):
                self._sum_up(rule_id)
            self._counts.save()

    def cover(self, match: Match, seen: FileObservation | FlowObservation) -> None:
        """Count a match that an exception covers, and write down which reactions are withheld."""
        excepted = match.excepted
        if excepted is None:
            return
        recipe, process, uuid = match.recipe.info, seen.process, uuid7()
        what = seen.remote.address if isinstance(seen, FlowObservation) else _text(seen.path)
        withheld = len(recipe.reactions) if recipe.reacts else 0
        self._counts.add(excepted.id, uuid, _text(process.image.exe), what, withheld)
        details = {
            "exception": excepted.id,
            "file": excepted.source,
            "pid": process.pid,
            "exe": _text(process.image.exe),
            "remote" if isinstance(seen, FlowObservation) else "path": what,
        }
        lines = self._lines.setdefault(excepted.id, _Lines(excepted, recipe)) if withheld else None
        for reaction in range(withheld):
            if lines is not None and lines.has_room():
                self._write(recipe, excepted, details, uuid, reaction)

    def tell_due(self) -> None:
        """Tell of what has ended and of lines that were left out; to be called now and then."""
        now = time.monotonic()
        for rule_id, lines in list(self._lines.items()):
            if now - lines.since >= _MINUTE_S:
                self._sum_up(rule_id)
        self._tell_ended()
        self._counts.save_now_and_then()

    def report(self) -> list[dict[str, Any]]:
        """Return what is in force, each with what it covered."""
        return [summary(rule, self._counts.by_id) for rule in self._compiled.rules]

    def _apply(self, compiled: CompiledExceptions) -> None:
        self._compiled = compiled
        self._counts.take_up(compiled.rules)
        self._ended &= {rule.id for rule in compiled.rules}
        self._use(self._covering if compiled.rules else None)
        self._tell_ended()

    def _covering(self, recipe: RecipeInfo, facts: Facts) -> Excepted | None:
        rule = self._compiled.covering(recipe, facts)
        return None if rule is None else rule.told

    def _tell_ended(self) -> None:
        now_s = time.time()
        for rule in self._compiled.rules:
            if rule.has_ended(now_s) and rule.id not in self._ended:
                self._ended.add(rule.id)
                note = f"the exception {rule.id} for {rule.recipe} ended on {rule.until}: what it covered is told again"
                self._log.warning(note, place=rule.place, reason=rule.reason)
                self._publish(exception_ended_event(rule.recipe, note))

    def _sum_up(self, rule_id: str) -> None:
        lines = self._lines.pop(rule_id)
        if lines.left_out:
            details = {"exception": rule_id, "file": lines.excepted.source, "more": lines.left_out}
            self._write(lines.recipe, lines.excepted, details, "", None)

    def _write(
        self, recipe: RecipeInfo, excepted: Excepted, details: dict[str, Any], uuid: str, reaction: int | None
    ) -> None:
        self._ledger().append(
            Entry(
                uuid=uuid,
                kind=recipe.kind,
                recipe=recipe.name,
                reaction=reaction,
                action="execution",
                arguments=details,
                decision="refused",
                reason=f"withheld by exception {excepted.id}: {excepted.reason[:_LONGEST]}",
            )
        )


class _Lines:
    """How many lines one exception has in the ledger, of a minute."""

    def __init__(self, excepted: Excepted, recipe: RecipeInfo) -> None:
        self.excepted, self.recipe = excepted, recipe
        self.since = time.monotonic()
        self.written = self.left_out = 0

    def has_room(self) -> bool:
        """Take one, unless they are used up; then it is counted."""
        if self.written >= LINES_A_MINUTE:
            self.left_out += 1
            return False
        self.written += 1
        return True


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")[:_LONGEST]
