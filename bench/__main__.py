"""Runs every benchmark, one after the other; each prints one line of JSON."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BENCHMARKS = ("start", "overhead", "detect_to_kill", "reactions", "recipes", "peers", "network")


def main() -> int:
    """Return the exit status of the first that fails, or 0."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    for name in BENCHMARKS:
        status = subprocess.run([sys.executable, "-m", f"bench.{name}"], env=environment, check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
