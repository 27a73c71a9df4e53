"""Coverage-guided fuzzing of what a DNS answer goes through in user space.

    make long-fuzz-dns, or, with atheris installed: python -m tests.fuzz.dns -max_total_time=600 -max_len=4096 CORPUS…

Whatever the bytes are, they are an answer or none, the cache keeps its bounds, and no exception comes of it.
"""

from __future__ import annotations

import struct
import sys

import atheris

with atheris.instrument_imports(include=["raqib", "dns"]):
    from raqib.dns.names import MAX_NAMES, NameCache
    from raqib.model.process import ProcessKey

ENTRIES, BYTES = 200, 100_000
CACHE = NameCache(max_entries=ENTRIES, max_bytes=BYTES, clock=lambda: 0)
HEAD = struct.pack("!6H", 1, 0x8180, 1, 0xFFFF, 0, 0)


def learn(data: bytes) -> None:
    """Take a message as it is, and as what follows the header of an answer; raise if a bound does not hold."""
    asker = ProcessKey(len(data) % 50, 1)
    for message in (data, HEAD + data):
        answer = CACHE.learn(message, asker, 1, 0)
        for found in answer.found if answer is not None else ():
            if len(CACHE.names(found.address, 1, asker)) > MAX_NAMES:
                raise AssertionError(f"more than {MAX_NAMES} names of {found.address}")
    if len(CACHE) > ENTRIES:
        raise AssertionError(f"more than {ENTRIES} entries")


def main() -> None:
    """Fuzz until told to stop."""
    atheris.Setup(sys.argv, learn)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
