"""Kill -9 of the daemon in a loop, under load: nothing acknowledged is missing, and the ledger's chain holds."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import msgspec

from raqib.actions.store import SHARED_NAMESPACE, Store
from raqib.ledger.chain import Ledger
from raqib.ledger.verification import verify

ROOT = Path(__file__).parents[3]
KILLS = int(os.environ.get("LONG_KILLS", "15"))
"""`make long-kills` makes 50."""
ENOUGH_S = 180.0
"""On a slow machine fewer kills are made, but never fewer than ten."""


def run_and_kill(directory: Path, after_s: float) -> list[list[str]]:
    """Start the daemon, kill it some time after its first acknowledgement, and return what it acknowledged."""
    command = [sys.executable, "-m", "tests.kernel.reactions.hooks.loaded", str(directory)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        first = daemon.stdout.readline()
        assert first
        time.sleep(after_s)
        daemon.kill()
        *whole, _ = (first + daemon.stdout.read()).split("\n")
    return [line.split() for line in whole]


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    acknowledged: dict[str, set[str]] = defaultdict(set)
    moments = random.Random(4)
    started, kills = time.monotonic(), 0
    while kills < KILLS and (kills < 10 or time.monotonic() < started + ENOUGH_S):
        for what, text in run_and_kill(directory, moments.uniform(0, 0.15)):
            acknowledged[what].add(text)
        kills += 1
        store = Store(directory / "store.db")
        assert int(store.get("loaded", "count") or 0) >= max(map(int, acknowledged["incr"]), default=0)
        store.close()
    store = Store(directory / "store.db")
    assert set() == {f"set.{text}" for text in acknowledged["set"]} - set(store.keys("loaded"))
    assert set() == acknowledged["shared"] - set(store.keys(SHARED_NAMESPACE))
    pushed = []
    while (value := store.pop("loaded", "list")) is not None:
        pushed.append(value)
    assert len(pushed) == len(set(pushed))
    assert set() == acknowledged["push"] - set(pushed)
    store.close()
    # Opening it cuts off a last line that was not written whole, and says so.
    ledger = Ledger(directory / "ledger.jsonl")
    ledger.close()
    verification = verify(directory / "ledger.jsonl")
    assert verification.intact, verification.breaks
    # Whatever was acknowledged is in the ledger, too.
    entries = [msgspec.json.decode(line) for line in (directory / "ledger.jsonl").read_bytes().splitlines()]
    done = {entry["arguments"]["key"] for entry in entries if entry["action"] == "DataSet"}
    assert set() == {f"set.{text}" for text in acknowledged["set"]} - done
    assert len(acknowledged["set"]) > kills
