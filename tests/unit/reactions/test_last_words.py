from __future__ import annotations

import asyncio
import os

from raqib.control.sink import Sink
from raqib.reactions.service import _from_threads


def test_last_words_are_written_before_the_host_goes_down() -> None:
    """The thread that takes it down goes on only then."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)

    async def scenario() -> bytes:
        log = _from_threads(sink.write, then=lambda: waited.append(sink.wait_written(60)))

        def take_down() -> bytes:
            log("the host goes down now\n")
            return os.read(read_end, 1000)

        return await asyncio.to_thread(take_down)

    waited: list[bool] = []
    with os.fdopen(write_end, "w") as file:
        sink = Sink(file)
        assert b"the host goes down now\n" == asyncio.run(scenario())
    assert [True] == waited
    os.close(read_end)
