"""A daemon under load, to be killed at any moment: says on its standard output what it acknowledged, and no sooner."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from raqib.actions.settings import Places
from raqib.model.execution import LogLine
from raqib.reactions import Reactions, ReactionSettings
from raqib.testing import make_detection, make_recipe

CODE = """
function process() {
  for (let i = 0; i < 50; i++) {
    const text = uuid + ".NUMBER." + i;
    if (DataSet("set." + text, text) === 0) Info("set", text);
    if (DataPush("list", text) === 0) Info("push", text);
    Info("incr", DataIncr("count"));
    if (SharedSet(text, text) === 0) Info("shared", text);
  }
}
"""


def acknowledge(line: LogLine) -> None:
    os.write(1, f"{line.text}\n".encode())


async def main(directory: Path) -> None:
    settings, places = ReactionSettings(workers=2, timeout_s=30.0), Places(directory)
    reactions = Reactions(settings, places, on_log=acknowledge, on_finished=lambda finished: None)
    await reactions.start()
    recipe = make_recipe(*(CODE.replace("NUMBER", number) for number in "12"), name="loaded")
    while True:
        reactions.submit(make_detection(recipe=recipe))
        await reactions.drain()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
