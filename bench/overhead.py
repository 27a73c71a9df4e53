"""What raqib costs the programs that it watches: one round of open, read and close, without it and with it.

The two are timed in turn, so that what else the machine does hits both. The files lie at the usual depths; no recipe
matches them. Prints one line of JSON: nanoseconds, and the ratio of the medians.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from raqib.config.stages import interests_of
from raqib.recipes.compile import compile_set
from raqib.recipes.load import load_builtin
from raqib.sensors.files import FileSensor

ROUNDS = 200_000
PAIRS = 7
FILES = 64


def _time(program: Path, files: list[Path]) -> float:
    return float(subprocess.run([program, str(ROUNDS), *files], capture_output=True, check=True).stdout)


def main() -> None:
    """Print the result."""
    with tempfile.TemporaryDirectory(prefix="raqib-bench-") as name:
        directory = Path(name)
        program = directory / "open_close"
        subprocess.run(["cc", "-O2", "-o", program, Path(__file__).with_name("open_close.c")], check=True)
        deep = directory / "a/b/c/d"
        deep.mkdir(parents=True)
        files = [deep / f"file{number}" for number in range(FILES)]
        for file in files:
            file.write_text("x")
        interests = interests_of(compile_set(load_builtin().recipes))
        without, with_raqib = [], []
        for _ in range(PAIRS):
            without.append(_time(program, files))
            sensor = FileSensor()
            sensor.set_interests(interests)
            sensor.start(lambda seen: None)
            with_raqib.append(_time(program, files))
            records = sensor.counters()["records"]
            sensor.close()
    result = {
        "rounds": ROUNDS,
        "without_ns": median(without),
        "with_ns": median(with_raqib),
        "ratio": round(median(with_raqib) / median(without), 2),
        "records": records,
    }
    print(json.dumps({"open_read_close": result}))


if __name__ == "__main__":
    main()
