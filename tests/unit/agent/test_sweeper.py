from __future__ import annotations

import asyncio
from collections.abc import Mapping

from structlog.testing import capture_logs

from raqib.agent.sweeper import Cadence


class Sensor:
    """Fails in its first round."""

    def __init__(self, stop: asyncio.Event) -> None:
        self.rounds = 0
        self.lost = [3, 3, 5]
        self._stop = stop

    def sweep(self) -> int:
        self.rounds += 1
        if self.rounds == 1:
            raise OSError("the map is gone")
        if self.rounds == 4:
            self._stop.set()
        return 7 if self.rounds == 2 else 0

    def counters(self) -> Mapping[str, int]:
        return {"lost_accesses": self.lost[min(self.rounds - 2, 2)], "records": 100}


def test_a_sweep_that_fails_is_told_and_the_next_one_follows() -> None:
    async def run() -> Sensor:
        stop = asyncio.Event()
        sensor = Sensor(stop)
        task = asyncio.get_running_loop().create_task(Cadence(0.001, sensor).run())
        stopped = asyncio.get_running_loop().create_task(stop.wait())
        await asyncio.wait({task, stopped}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert not task.done()
        for one in (task, stopped):
            one.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)
        return sensor

    with capture_logs() as said:
        sensor = asyncio.run(run())
    assert sensor.rounds >= 4
    assert [
        ("error", "a sweep failed, the next one follows"),
        ("warning", "records were late: the ring buffer was full"),
        ("warning", "accesses were lost in the kernel"),
        ("warning", "accesses were lost in the kernel"),
    ] == [(line["log_level"], line["event"]) for line in said]
    assert "OSError('the map is gone')" == said[0]["problem"]
    assert [3, 5] == [line["lost_accesses"] for line in said[2:]]


def test_what_else_has_the_same_rhythm_is_called() -> None:
    called: list[int] = []
    sensor = Sensor(asyncio.Event())
    sensor.rounds = 1
    Cadence(1.0, sensor, lambda: called.append(sensor.rounds)).look_around()
    assert [1] == called
