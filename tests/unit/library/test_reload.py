from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from raqib.config.config import RecipesConfig
from raqib.library import reload
from raqib.library.library import Library
from raqib.library.reload import Reloader, difference, watched_places
from raqib.matcher.matcher import Prepared
from raqib.recipes.load import load_text
from raqib.recipes.spec import RecipeSpec


def recipes(**importances: str) -> tuple[RecipeSpec, ...]:
    text = "".join(
        f"- {{kind: k, name: {name}, mechanism: execution, breed: execution, importance: {importance}}}\n"
        for name, importance in importances.items()
    )
    return load_text(text, "test.yaml").recipes


def test_differences_by_name() -> None:
    found = difference(recipes(a="low", b="low", c="low"), recipes(b="high", c="low", d="low"))
    assert {"added": ["d"], "changed": ["b"], "removed": ["a"]} == found


@pytest.mark.parametrize("error", [OSError("not now"), ValueError("a mistake of ours")])
def test_what_could_not_be_put_in_force_is_tried_again(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload, "_PAUSE_S", 0.3)
    library = Library(RecipesConfig(directories=(tmp_path,), builtin=False, allow_unsafe_owner=True))
    applied: list[list[str]] = []

    def apply(prepared: Prepared) -> None:
        applied.append([recipe.name for recipe in prepared.compiled.recipes])
        if len(applied) == 1:
            raise error
        reloader.stop()

    reloader = Reloader(library, library.load().recipes, apply)
    (tmp_path / "a.yaml").write_text("- {kind: k, name: a, mechanism: execution, breed: execution, importance: low}\n")
    asyncio.run(asyncio.wait_for(reloader.run(), 20))
    assert [["a"], ["a"]] == applied


def test_a_place_is_the_directory_and_the_one_above(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    assert {tmp_path} == watched_places([directory]).keys()
    directory.parent.mkdir()
    assert {tmp_path / "a"} == watched_places([directory]).keys()
    directory.mkdir()
    places = watched_places([directory])
    assert {tmp_path / "a", directory} == places.keys()
    directory.rename(tmp_path / "old")
    directory.mkdir()
    assert places != watched_places([directory])


def test_a_file_is_watched_by_its_directory(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("")
    assert {tmp_path} == watched_places([tmp_path / "a.yaml"]).keys()


def test_a_list_in_a_file_is_reloaded(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    names = tmp_path / "lists" / "names"
    names.write_text("a.org\n")
    (tmp_path / "r.yaml").write_text(
        "- {kind: k, name: n, version: '1', description: d, tactic: impact, technique: resource_hijacking,"
        " mechanism: network_peers, breed: remote_domains, importance: low, remote_domains_file: lists/names}"
    )
    library = Library(RecipesConfig(directories=(tmp_path,), builtin=False, allow_unsafe_owner=True))

    async def reloaded(change: Callable[[], object], wanted: str) -> None:
        done = asyncio.Event()

        def apply(prepared: Prepared) -> None:
            (rule,) = prepared.compiled.flows.rules
            if wanted in rule.part.remote_domain_lists[0].entries:
                done.set()

        reloader = Reloader(library, library.load().recipes, apply)
        task = asyncio.create_task(reloader.run())
        change()
        await asyncio.wait_for(done.wait(), 20)
        reloader.stop()
        await task

    asyncio.run(reloaded(lambda: names.write_text("a.org\nb.org\n"), "b.org"))
    fresh = tmp_path / "lists" / "fresh"
    fresh.write_text("c.org\n")
    asyncio.run(reloaded(lambda: fresh.replace(names), "c.org"))


@pytest.mark.parametrize("where", ["in the directory", "above it"])
def test_a_name_that_is_no_text_costs_no_reload(where: str, tmp_path: Path) -> None:
    directory = tmp_path / "recipes"
    directory.mkdir()
    library = Library(RecipesConfig(directories=(directory,), builtin=False, allow_unsafe_owner=True))
    name = os.path.join(os.fsencode(directory if where == "in the directory" else tmp_path), b"\xff.yaml")  # noqa: PTH118
    applied: list[list[str]] = []

    async def scenario() -> None:
        def apply(prepared: Prepared) -> None:
            applied.append([recipe.name for recipe in prepared.compiled.recipes])
            if applied[-1] == ["b"]:
                reloader.stop()

        reloader = Reloader(library, library.load().recipes, apply)
        task = asyncio.create_task(reloader.run())
        for wanted in "ab":
            # Once before and once after the watch has failed.
            os.close(os.open(name, os.O_CREAT | os.O_EXCL, 0o600))
            os.unlink(name)  # noqa: PTH108 -- a name in bytes
            (directory / "r.yaml").write_text(
                f"- {{kind: k, name: {wanted}, mechanism: execution, breed: execution, importance: low}}\n"
            )
            while [wanted] not in applied:
                assert not task.done(), task.exception()
                await asyncio.sleep(0.02)
        await task

    asyncio.run(asyncio.wait_for(scenario(), 30))
    assert [["a"], ["b"]] == applied
