from __future__ import annotations

import socket
import struct
import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raqib.reactions.protocol import (
    MAX_FRAME,
    Call,
    Ended,
    Execute,
    FrameReader,
    Log,
    ProtocolError,
    Ready,
    Reply,
    ToDaemon,
    WorkerChannel,
    pack,
)

_texts = st.text(st.characters(exclude_categories=["Cs"]))
_messages = st.one_of(
    st.builds(Ready, st.lists(_texts).map(tuple)),
    st.builds(Call, _texts, _texts),
    st.builds(Log, _texts, _texts),
    st.builds(Ended, _texts, _texts, st.integers(0, 99), st.integers(0, 99), st.integers(0, 2**62)),
)


@given(st.lists(_messages), st.data())
def test_messages_come_through_in_whatever_pieces(messages: list[ToDaemon], data: st.DataObject) -> None:
    stream = b"".join(map(pack, messages))
    cuts = sorted({0, len(stream), *data.draw(st.lists(st.integers(0, len(stream)), max_size=5))})
    reader = FrameReader()
    received = [message for start, end in pairwise(cuts) for message in reader.feed(stream[start:end])]
    assert messages == received


@given(st.binary())
def test_any_bytes_are_messages_or_a_protocol_error(data: bytes) -> None:
    reader = FrameReader()
    try:
        reader.feed(struct.pack("<I", len(data)) + data)
    except ProtocolError:
        return


def test_too_long_a_frame_is_refused_before_it_arrives() -> None:
    with pytest.raises(ProtocolError, match="of at most"):
        FrameReader().feed(struct.pack("<I", MAX_FRAME + 1))


@pytest.mark.parametrize("message", [Reply("x"), Execute("c", "k", "n", "u", "{}", 0, 0)])
def test_messages_of_the_daemon_are_not_taken_from_a_worker(message: Reply | Execute) -> None:
    with pytest.raises(ProtocolError, match="expected a message"):
        FrameReader().feed(pack(message))


def test_worker_channel() -> None:
    ours, theirs = socket.socketpair()
    channel = WorkerChannel(theirs)
    long = Reply("x" * 3_000_000)
    sender = threading.Thread(target=ours.sendall, args=(pack(long) + pack(Reply("")),))
    sender.start()
    assert channel.receive() == long
    assert channel.receive() == Reply("")
    sender.join()
    channel.send(Ready(("a",)))
    assert FrameReader().feed(ours.recv(1000)) == [Ready(("a",))]
    ours.close()
    assert channel.receive() is None
    theirs.close()
