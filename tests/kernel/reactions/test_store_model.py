"""Reactions that change the data in parallel leave it as if they had done so one call after the other."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raqib.actions.settings import Places
from raqib.model.detection import Detection
from raqib.model.execution import LogLine
from raqib.model.recipe import Reaction
from raqib.reactions import Reactions, ReactionSettings
from raqib.testing import make_detection, make_recipe

KEYS = st.sampled_from(["a", "b", "c"])
TEXTS = st.sampled_from(["", "1", "2.5", "text", "é\0\u2028"])
CALLS = st.one_of(
    st.tuples(st.just("DataSet"), KEYS, TEXTS),
    st.tuples(st.just("DataPush"), KEYS, TEXTS),
    st.tuples(st.just("DataPop"), KEYS),
    st.tuples(st.just("DataIncr"), KEYS, st.sampled_from([1, -2, 0.5])),
    st.tuples(st.just("DataDelete"), KEYS),
)
Call = tuple[Any, ...]

CODE = """
function process() {
  const results = [];
  for (const [name, ...values] of %s) results.push(String(globalThis[name](...values)));
  Info(JSON.stringify(results));
}
"""


class Model:
    """What the contract says of the calls."""

    def __init__(self) -> None:
        self.held: dict[str, str | list[str]] = {}

    def call(self, name: str, key: str, *values: Any) -> str:
        """Do one call and return its result as JavaScript shows it."""
        held = self.held.get(key)
        match name:
            case "DataSet" if not isinstance(held, list):
                self.held[key] = values[0]
                return "0"
            case "DataPush" if not isinstance(held, str):
                self.held[key] = [*(held or []), values[0]]
                return "0"
            case "DataPop" if not isinstance(held, str):
                if not held:
                    return ""
                *rest, last = held
                self.held[key] = rest
                if not rest:
                    del self.held[key]
                return last
            case "DataPop":
                return ""
            case "DataIncr" if not isinstance(held, list):
                try:
                    total = float(held if held is not None else "0") + values[0]
                except ValueError:
                    return "NaN"
                self.held[key] = shown = str(int(total)) if total == int(total) else repr(total)
                return shown
            case "DataIncr":
                return "NaN"
            case "DataDelete":
                self.held.pop(key, None)
                return "0"
        return "-1"


class Running:
    """Started reactions, and a loop to use them from."""

    def __init__(self, directory: Path) -> None:
        self.ledger = directory / "data" / "ledger.jsonl"
        self.lines: list[LogLine] = []
        self.loop = asyncio.new_event_loop()
        self.reactions = Reactions(
            ReactionSettings(workers=3, timeout_s=20.0),
            Places(directory / "data"),
            on_log=self.lines.append,
            on_finished=lambda finished: None,
        )
        self.loop.run_until_complete(self.reactions.start())
        self.examples = 0
        self.seen = 0

    def run(self, scripts: list[list[Call]]) -> tuple[str, list[list[str]], list[dict[str, Any]]]:
        """Run a recipe with these reactions; return its name, all results, and the ledger's lines of the calls."""
        self.examples += 1
        codes = [Reaction("js", CODE % json.dumps(calls)) for calls in scripts]
        recipe = msgspec.structs.replace(make_recipe(name=f"example_{self.examples}"), reactions=tuple(codes))
        self.lines.clear()
        self.loop.run_until_complete(self._react(make_detection(recipe=recipe)))
        lines = self.ledger.read_bytes().splitlines()[self.seen :]
        self.seen += len(lines)
        entries = [entry for line in lines if (entry := msgspec.json.decode(line))["action"] != "execution"]
        logged = {line.reaction: json.loads(line.text.replace("\\u2028", "\u2028")) for line in self.lines}
        return recipe.name, [logged[index] for index in range(len(scripts))], entries

    async def _react(self, detection: Detection) -> None:
        self.reactions.submit(detection)
        await self.reactions.drain()

    def close(self) -> None:
        self.loop.run_until_complete(self.reactions.close())
        self.loop.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with contextlib.closing(Running(tmp_path_factory.mktemp("model"))) as one:
        yield one


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scripts=st.lists(st.lists(CALLS, min_size=1, max_size=12), min_size=2, max_size=4))
def test_any_interleaving_is_one_of_the_models(running: Running, scripts: list[list[Call]]) -> None:
    name, results, entries = running.run(scripts)
    model = Model()
    positions = [0] * len(scripts)
    # The ledger is in the order in which the calls were done; each reaction's own are in the order of its script.
    for entry in entries:
        reaction = entry["reaction"]
        call = scripts[reaction][positions[reaction]]
        assert call[0] == entry["action"]
        assert model.call(*call) == results[reaction][positions[reaction]], (call, entries)
        positions[reaction] += 1
    assert [len(calls) for calls in scripts] == positions
    store = running.reactions._services.store
    assert sorted(model.held) == store.keys(name)
    assert [model.held[key] for key in sorted(model.held)] == store.values(name, 1 << 20)
