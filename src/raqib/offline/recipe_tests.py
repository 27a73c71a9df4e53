"""Runs the `tests:` of recipes: what matches, and what the reactions would do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from raqib.config.config import Config
from raqib.events.build import detect
from raqib.matcher.ancestry import KnownAncestry
from raqib.matcher.explain import explain
from raqib.matcher.finding import Finding
from raqib.model.detection import Detection
from raqib.model.flow import FlowObservation
from raqib.offline.dry_run import DryRun, Reacted, show_call
from raqib.offline.samples import Sample, run_test, samples
from raqib.recipes.spec import ExpectedCall, RecipeSpec, RecipeTest


class RecipeTestReport(msgspec.Struct, frozen=True):
    """What became of one test."""

    source: str
    recipe: str
    test: str
    outcome: Literal["passed", "failed"]
    message: str
    """Expected and found, if it failed."""
    matched: bool
    because: str | None
    stages: tuple[Finding, ...]
    """What each stage said, if the test failed."""
    reactions: tuple[Reacted, ...]
    """What the reactions would have done, if calls were expected and the event matched."""
    duration_s: float


def run_recipe_tests(recipes: Sequence[RecipeSpec], config: Config) -> list[RecipeTestReport]:
    """Run all tests of the recipes, whether they are enabled or not. Raises NotPermittedError if no worker comes up."""
    return asyncio.run(_run(recipes, config))


async def _run(recipes: Sequence[RecipeSpec], config: Config) -> list[RecipeTestReport]:
    pairs = [(recipe, test) for recipe in recipes for test in recipe.tests]
    if not any(test.calls is not None for _, test in pairs):
        return [await _run_one(recipe, test, None) for recipe, test in pairs]
    async with DryRun(config) as dry_run:
        return [await _run_one(recipe, test, dry_run) for recipe, test in pairs]


async def _run_one(recipe: RecipeSpec, test: RecipeTest, dry_run: DryRun | None) -> RecipeTestReport:
    began = time.monotonic()
    result = run_test(recipe, test)
    passed, message = result.passed, result.message
    reacted: list[Reacted] = []
    if passed and test.calls is not None:
        if dry_run is not None and result.matched:
            dry_run.forget_data()
            for sample in samples(recipe, test):
                if sample.match is not None:
                    reacted = await dry_run.react(_detection(recipe, sample, sample.match.note))
        message = _judge(test.calls, reacted)
        passed = not message
    return RecipeTestReport(
        source=recipe.info.source,
        recipe=recipe.name,
        test=test.name,
        outcome="passed" if passed else "failed",
        message=message,
        matched=result.matched,
        because=result.because,
        stages=tuple(_stages(recipe, test)) if not passed else (),
        reactions=tuple(reacted),
        duration_s=time.monotonic() - began,
    )


def _detection(recipe: RecipeSpec, sample: Sample, note: str) -> Detection:
    """Return the detection; whatever the recipe's mode, a test wants to see its reactions."""
    info = msgspec.structs.replace(recipe.info, mode="dry_react")
    seen = sample.observation
    accessed = [] if isinstance(seen, FlowObservation) else [(seen.path, seen.actions)]
    return detect(info, seen, sample.ancestors, accessed, note)


def _stages(recipe: RecipeSpec, test: RecipeTest) -> list[Finding]:
    *_, last = samples(recipe, test)
    return explain(recipe, last.observation, KnownAncestry(last.ancestors), offset_ns=lambda: 0)


def _judge(expected: Sequence[ExpectedCall], reacted: Sequence[Reacted]) -> str:
    """Return what is wrong with what the reactions did; empty if nothing is."""
    for reaction in reacted:
        if reaction.outcome not in ("ok", "refused"):
            return f"expected reactions that end well, found {reaction.outcome}: {reaction.error}"
    found = [call for reaction in reacted for call in reaction.calls]
    if len(found) == len(expected) and all(map(_is_as_expected, found, expected)):
        return ""
    wanted = ", ".join(call.name if call.args is None else show_call(call.name, call.args) for call in expected)
    calls = ", ".join(show_call(call["name"], call["arguments"]) for call in found)
    return f"expected the calls {wanted or 'none'}; found {calls or 'none'}"


def _is_as_expected(found: dict[str, Any], expected: ExpectedCall) -> bool:
    if found["name"] != expected.name:
        return False
    if expected.args is None:
        return True
    arguments = found["arguments"]
    # In Python, true equals 1.
    return len(arguments) == len(expected.args) and all(
        argument == other and isinstance(argument, bool) == isinstance(other, bool)
        for argument, other in zip(arguments, expected.args, strict=True)
    )
