"""A daemon with workers, one of them busy for ever; says their pids and waits to be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from raqib.actions.settings import Places
from raqib.reactions import Reactions, ReactionSettings
from raqib.testing import make_detection


async def main(directory: str) -> None:
    reactions = Reactions(
        ReactionSettings(timeout_s=60, workers=2),
        Places(Path(directory)),
        on_log=lambda line: print(line.text, flush=True),
        on_finished=lambda finished: None,
    )
    await reactions.start()
    await reactions.wait_ready(3)
    print(*reactions.worker_pids, flush=True)
    reactions.submit(make_detection("function process() { Info('busy'); for (;;) ; }"))
    await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
