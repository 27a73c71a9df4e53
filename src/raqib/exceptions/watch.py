"""Looks at the files of exceptions and puts what changed in force, while detection goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

import structlog

from raqib.exceptions.compiled import CompiledExceptions
from raqib.exceptions.directory import ExceptionsDirectory
from raqib.exceptions.doubts import doubts
from raqib.exceptions.rule import ExceptionRule, Rules
from raqib.model.recipe import RecipeInfo
from raqib.recipes.diagnostic import Diagnostic
from raqib.recipes.fingerprint import is_settled

LOOK_S = 0.4
"""How often they are looked at: a directory of few files, so that nothing is gained by being told of changes."""


class Watch:
    """Belongs to one event loop; reading and compiling happen in a thread."""

    def __init__(
        self,
        directory: ExceptionsDirectory,
        recipes: Callable[[], Iterable[RecipeInfo]],
        apply: Callable[[CompiledExceptions], None],
        host_mnt_ns: int,
    ) -> None:
        """`apply` is called in the event loop with each new set; `recipes` are those that run."""
        self._directory = directory
        self._recipes = recipes
        self._apply = apply
        self._host_mnt_ns = host_mnt_ns
        self._rules: tuple[ExceptionRule, ...] = ()
        self._told: set[Diagnostic] = set()
        self._stop = asyncio.Event()
        self._log = structlog.get_logger()
        self._seen = directory.snapshot()
        self._must_look = True

    async def load(self) -> None:
        """Put in force what is there now: for the start, when nothing is to be judged without."""
        await self._look()

    async def run(self) -> None:
        """Look until `stop`."""
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), LOOK_S)
            try:
                await self._look()
            except Exception as error:
                # Whoever mends the file must not have to restart the agent.
                self._log.error("exceptions could not be loaded, those in force stay", problem=str(error))

    def stop(self) -> None:
        """Ask `run` to return."""
        self._stop.set()

    async def _look(self) -> None:
        found = await asyncio.to_thread(self._directory.snapshot)
        if found == self._seen and not self._must_look:
            return
        recipes = list(self._recipes())
        loaded, compiled = await asyncio.to_thread(self._load, recipes)
        self._tell((*loaded.diagnostics, *doubts(loaded.rules, recipes)))
        if compiled is not None:
            self._apply(compiled)
            before, self._rules = self._rules, loaded.rules
            if before or loaded.rules:
                self._log.info("exceptions loaded", **_difference(before, loaded.rules))
        # A file that was changed just before it was read may be changed again without a new time.
        self._seen, self._must_look = found, not all(map(is_settled, found.values()))

    def _load(self, recipes: Iterable[RecipeInfo]) -> tuple[Rules, CompiledExceptions | None]:
        loaded = self._directory.load()
        if loaded.rules == self._rules:
            return loaded, None
        compiled = CompiledExceptions(loaded.rules, self._host_mnt_ns)
        compiled.prepare(recipes)
        return loaded, compiled

    def _tell(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Say what is wrong, each thing once for as long as it is."""
        now = dict.fromkeys(diagnostics)
        for item in now:
            if item not in self._told:
                say = self._log.error if item.severity == "error" else self._log.warning
                say("exceptions", problem=str(item))
        self._told = set(now)


def _difference(before: Iterable[ExceptionRule], after: Iterable[ExceptionRule]) -> dict[str, list[str]]:
    old, new = {item.id for item in before}, {item.id for item in after}
    return {"in_force": sorted(new), "added": sorted(new - old), "removed": sorted(old - new)}
