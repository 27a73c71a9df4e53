from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from raqib.host.journal import send


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "socket"))
        receiver.settimeout(10)
        yield receiver


def test_a_line_with_fields_arrives(journal: socket.socket, tmp_path: Path) -> None:
    assert send("ledger head 7:ab", tmp_path / "socket", RAQIB_LEDGER_SEQ=7)
    lines = journal.recv(65536).decode().splitlines()
    assert {"MESSAGE=ledger head 7:ab", "PRIORITY=6", "SYSLOG_IDENTIFIER=raqib", "RAQIB_LEDGER_SEQ=7"} == set(lines)


def test_without_a_journal_it_says_no(tmp_path: Path) -> None:
    assert not send("x", tmp_path / "nothing")


@pytest.mark.usefixtures("journal")
def test_a_journal_that_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    sent = 0
    while send("x" * 1000, tmp_path / "socket"):
        sent += 1
        assert sent < 100_000
    assert sent > 0
