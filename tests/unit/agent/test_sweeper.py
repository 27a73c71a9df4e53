from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from raqib.agent.sweeper import PORTION, Sweeper


class Sensor:
    """Fails in its first round; in the second, much has waited."""

    def __init__(self, stop: asyncio.Event) -> None:
        self.rounds = 0
        self.left = 0
        self.turns: list[int] = []
        self._stop = stop

    @property
    def sweeping(self) -> bool:
        return self.left > 0

    def sweep(self, most: int | None = None) -> int:
        assert most == PORTION
        if self.left:
            self.left -= most
            return most
        self.rounds += 1
        if self.rounds == 1:
            raise OSError("the map is gone")
        if self.rounds == 4:
            self._stop.set()
        self.left = 10 * PORTION if self.rounds == 2 else 0
        return 0


def test_a_sweep_that_fails_is_told_and_the_next_one_follows() -> None:
    async def run() -> Sensor:
        stop = asyncio.Event()
        sensor = Sensor(stop)
        loop = asyncio.get_running_loop()

        async def look_on() -> None:
            """See how far the sweep has come whenever it is somebody else's turn."""
            while True:
                sensor.turns.append(sensor.left // PORTION)
                await asyncio.sleep(0)

        tasks = [loop.create_task(Sweeper(0.001, [sensor]).run()), loop.create_task(look_on())]
        stopped = loop.create_task(stop.wait())
        await asyncio.wait({*tasks, stopped}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert not any(task.done() for task in tasks)
        for task in (*tasks, stopped):
            task.cancel()
        await asyncio.gather(*tasks, stopped, return_exceptions=True)
        return sensor

    with capture_logs() as said:
        sensor = asyncio.run(run())
    assert sensor.rounds >= 4
    assert set(range(11)) == set(sensor.turns)
    assert [
        ("error", "a sweep failed, the next one follows"),
        ("warning", "records were late: the ring buffer was full"),
    ] == [(line["log_level"], line["event"]) for line in said]
    assert "OSError('the map is gone')" == said[0]["problem"]
    assert 10 * PORTION == said[1]["count"]


def test_what_else_has_the_same_rhythm_is_called() -> None:
    called: list[int] = []
    sensor = Sensor(asyncio.Event())
    sensor.rounds = 2
    asyncio.run(Sweeper(1.0, [sensor], lambda: called.append(sensor.rounds)).run_round())
    assert [2] == called
