"""Fuzzers of what comes from others. `make long-fuzz-…` brings atheris and runs one."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path


def sow(seeds: Iterable[bytes]) -> None:
    """Put examples into the corpus that the command line names last, if it names one."""
    corpus = Path(sys.argv[-1])
    if len(sys.argv) > 1 and corpus.is_dir():
        for number, seed in enumerate(seeds):
            (corpus / f"seed{number}").write_bytes(seed)
