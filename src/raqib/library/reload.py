"""Watches the recipes on disk and puts what changed in force, while detection goes on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog
from watchfiles import Change, awatch

from raqib.errors import RaqibError
from raqib.library.library import Library, is_unsettled
from raqib.matcher.matcher import Prepared, prepare
from raqib.recipes.compile import compile_set
from raqib.recipes.diagnostic import Diagnostic, Loaded
from raqib.recipes.fingerprint import fingerprint
from raqib.recipes.spec import RecipeSpec

_QUIET_MS = 50
"""Changes that follow each other more closely than this are one."""
_LONGEST_MS = 300
"""After so long, they are looked at even if they go on."""
_POLL_MS = 400
"""How often the files are looked at although nobody told of a change: a watch can miss one, on a network filesystem
or while it is set up anew."""
_GRACE_S = 0.15
"""What has vanished may come back at once: editors and deployments rename."""
_PAUSE_S = 5.0
"""After a failure that is not the recipes' fault."""


class Reloader:
    """Belongs to one event loop; loading, checking and compiling happen in a thread."""

    def __init__(self, library: Library, recipes: tuple[RecipeSpec, ...], apply: Callable[[Prepared], None]) -> None:
        """`recipes` is what the library gave last; `apply` is called in the event loop with each new set."""
        self._library = library
        self._apply = apply
        self._recipes = recipes
        self._told = set(library.diagnostics)
        self._seen = library.snapshot()
        # What happened between loading and now does not show in it.
        self._must_read = True
        self._stop = asyncio.Event()
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Watch until `stop`."""
        while not self._stop.is_set():
            try:
                await self._watch()
            except Exception as error:
                # A place vanished before it could be watched, the kernel gives no more watches, or somebody made a
                # name that is no text: whatever it is, it must cost no more than the watch.
                self._log.debug("recipes watch failed: the files are polled", problem=_innermost(error))
                await self._reload_or_log()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _POLL_MS / 1000)

    def stop(self) -> None:
        """Ask `run` to return."""
        self._stop.set()

    async def _watch(self) -> None:
        """Watch the places that there are now, until there are others."""
        places = watched_places(self._library.paths)
        if not places:
            await self._stop.wait()
            return
        changes = awatch(
            *places,
            watch_filter=self._concerns,
            debounce=_LONGEST_MS,
            step=_QUIET_MS,
            rust_timeout=_POLL_MS,
            yield_on_timeout=True,
            recursive=False,
            ignore_permission_denied=True,
            stop_event=self._stop,
        )
        async with contextlib.aclosing(changes):
            async for _ in changes:
                await self._reload_or_log()
                if watched_places(self._library.paths) != places:
                    return

    def _concerns(self, change: Change, name: str) -> bool:
        """Tell whether a change may concern a path: itself, what is directly in it, or what it lies below."""
        changed = Path(name)
        return any(
            changed == path or changed.parent == path or path.is_relative_to(changed) for path in self._library.paths
        )

    async def _reload_or_log(self) -> None:
        try:
            await self._reload_if_changed()
        except Exception as error:
            # A mistake of ours too: whoever corrects the recipe must not have to restart the agent.
            trace = None if isinstance(error, OSError | RaqibError) else error
            self._log.error("recipes reload failed: those before stay in force", problem=str(error), exc_info=trace)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _PAUSE_S)

    async def _reload_if_changed(self) -> None:
        found = await asyncio.to_thread(self._library.snapshot)
        if found == self._seen and not self._must_read:
            return
        if self._seen.keys() - found.keys():
            await asyncio.sleep(_GRACE_S)
            found = await asyncio.to_thread(self._library.snapshot)
        started = time.monotonic()
        loaded, prepared = await asyncio.to_thread(self._load)
        self._tell(loaded.diagnostics)
        if prepared is not None:
            self._apply(prepared)
            before, self._recipes = self._recipes, loaded.recipes
            took_ms = round((time.monotonic() - started) * 1000)
            self._log.info("recipes reloaded", **difference(before, loaded.recipes), took_ms=took_ms)
        # A file that was changed just before it was read may be changed again without a new time.
        self._seen, self._must_read = found, is_unsettled(found)

    def _load(self) -> tuple[Loaded, Prepared | None]:
        loaded = self._library.load()
        return loaded, None if loaded.recipes == self._recipes else prepare(compile_set(loaded.recipes))

    def _tell(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Say what is wrong, each thing once for as long as it is."""
        now = dict.fromkeys(diagnostics)
        for diagnostic in now:
            if diagnostic not in self._told:
                say = self._log.error if diagnostic.severity == "error" else self._log.warning
                say("recipes problem", problem=str(diagnostic))
        self._told = set(now)


def _innermost(error: BaseException) -> str:
    """Return what a watch failed of: its tasks put their errors into groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


def watched_places(paths: Iterable[Path]) -> dict[Path, tuple[int, ...]]:
    """Return the directories in which changes can be seen, each with its identity.

    Beside a path itself that is the one above it, where it is replaced, or the nearest that there is.
    """
    places: dict[Path, tuple[int, ...]] = {}
    for path in paths:
        above = next((place for place in path.parents if place.is_dir()), path.parent)
        for place in (path, above):
            mark = fingerprint(place)
            if mark is not None and place.is_dir():
                places[place] = mark[:2]
    return places


def difference(before: Iterable[RecipeSpec], after: Iterable[RecipeSpec]) -> dict[str, list[str]]:
    """Return the names of the recipes that were added, changed and removed."""
    old, new = {recipe.name: recipe for recipe in before}, {recipe.name: recipe for recipe in after}
    return {
        "added": sorted(new.keys() - old.keys()),
        "changed": sorted(name for name in new.keys() & old.keys() if new[name] != old[name]),
        "removed": sorted(old.keys() - new.keys()),
    }
