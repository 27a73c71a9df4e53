"""Scripts that try to get out, to use everything up, or to reach another execution: each ends as it says itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from raqib.ledger.verification import verify

from .conftest import Arena

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.js"))

MEMORY_SLACK = 48 << 20
"""What the allocator may keep, in bytes; an attack that the daemon paid for would take far more."""

SOON_S = 0.1
"""How long the next reaction may take, from its detection to its end: a worker that has to be replaced has a spare."""
TRIES = 4
"""Others may be using this machine, so each script has several tries to be followed soon."""


def test_there_are_enough() -> None:
    assert 40 <= len(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_script(arena: Arena, script: Path) -> None:
    code = script.read_text()
    expected = code.partition("\n")[0].removeprefix("// ends: ").split(",")
    took: list[float] = []
    while not took or took[-1] > SOON_S:
        assert len(took) < TRIES, took
        took.append(attack(arena, code, expected))


def attack(arena: Arena, code: str, expected: list[str]) -> float:
    """Let it loose, see that nothing came of it, and return how long the next reaction took."""
    host = arena.host
    host.lines.clear()
    arena.warm()
    finished = arena.attack(code, timeout_s=20 if "out_of_memory" in expected else None)
    assert finished.outcome in expected, finished.error
    canary, took_s = arena.canary()
    assert ("ok", "") == (canary.outcome, canary.error)
    assert not [line for line in host.lines if "HARM" in line.text and "HARM-LINE" not in line.text]
    assert "well" == host.texts[-1]
    assert not [
        text
        for text in host.texts
        if any(ord(character) < 0x20 or character in "\x7f\x9b\u2028\u202e" for character in text)
    ]
    assert {"attacker", "victim_recipe"} >= {line.name for line in host.lines if line.name}
    assert arena.memory() < arena.memory_before + MEMORY_SLACK
    return took_s


def test_afterwards_the_ledger_is_whole_and_names_only_attackers(arena: Arena) -> None:
    assert verify(arena.host.places.data_dir / "ledger.jsonl").intact
    acted = {(entry["recipe"], entry["action"]) for entry in arena.host.ledger}
    assert {("victim_recipe", "execution"), ("victim_recipe", "DataSet"), ("victim_recipe", "Stat")} >= {
        deed for deed in acted if deed[0] != "attacker"
    }
    assert not Path("/etc/cron.d/raqib-adversarial").exists()
