"""Coverage-guided fuzzing of what the daemon reads from a worker, which is in an attacker's hands.

    make long-fuzz-protocol, or, with atheris installed: python -m tests.fuzz.protocol -max_total_time=600 CORPUS…

Whatever the bytes are, and in whatever pieces they come, they are the same messages or the same kind of error.
"""

from __future__ import annotations

import struct
import sys

import atheris

with atheris.instrument_imports(include=["raqib.reactions.protocol"]):
    from raqib.reactions.protocol import Call, Ended, FrameReader, Log, ProtocolError, Ready, ToDaemon, pack

from tests.fuzz import sow

SEEDS: tuple[ToDaemon, ...] = (
    Ready(("landlock",)),
    Call("DataGet", '["key"]'),
    Log("info", "text"),
    Ended("error", "no", 1, 2, 3),
)


def read(pieces: list[bytes]) -> tuple[list[ToDaemon], bool]:
    """Return the messages in it, and whether it ended in an error."""
    reader = FrameReader()
    messages: list[ToDaemon] = []
    try:
        for piece in pieces:
            messages += reader.feed(piece)
    except ProtocolError:
        return messages, True
    return messages, False


def take(data: bytes) -> None:
    """Take bytes as they are and as the body of a frame; raise if the way they come makes a difference."""
    for stream in (data, struct.pack("<I", len(data)) + data):
        whole, failed = read([stream])
        pieces, failed_too = read([stream[index : index + 1] for index in range(len(stream))])
        # What came before the error is not given out where all comes at once.
        if failed != failed_too or (not failed and whole != pieces):
            raise AssertionError(f"expected {whole}, {failed}; in pieces {pieces}, {failed_too}")
        for message in pieces:
            if read([pack(message)]) != ([message], False):
                raise AssertionError(f"a message that does not come through again: {message}")


def main() -> None:
    """Fuzz until told to stop."""
    for seed in SEEDS:
        take(pack(seed))
        take(pack(seed)[4:])
    sow(map(pack, SEEDS))
    atheris.Setup(sys.argv, take)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
