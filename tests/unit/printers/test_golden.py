"""What terminals are sent, byte by byte, beside files that say how it should be; ESC stands there as ␛.

RAQIB_RENEW_GOLDEN=1 writes the files anew: look at the difference before it is committed.
"""

from __future__ import annotations

import fcntl
import locale
import os
import struct
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len
from tests.terminal import ABOUT_TERMINALS
from tests.unit.printers.samples import EVENTS

from raqib.model.event import encode
from raqib.printers import Pretty, StdoutPrinter

GOLDEN = Path(__file__).with_name("golden")
END = b"<end>"

TERMINALS = {
    "dumb": {"TERM": "dumb"},
    "unknown": {"TERM": "unknown"},
    "xterm": {"TERM": "xterm"},
    "xterm-256color": {"TERM": "xterm-256color"},
    "tmux-256color": {"TERM": "tmux-256color"},
    "truecolor": {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
}
WISHES = {
    "neither": {},
    "NO_COLOR": {"NO_COLOR": "1"},
    "FORCE_COLOR": {"FORCE_COLOR": "1"},
    "empty NO_COLOR": {"NO_COLOR": ""},
    "both": {"NO_COLOR": "1", "FORCE_COLOR": "1"},
}


@pytest.fixture(autouse=True)
def usual_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ABOUT_TERMINALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(locale, "getencoding", lambda: "UTF-8")


class Pty:
    """A pseudo-terminal of a size."""

    def __init__(self, columns: int) -> None:
        self.controller, self.fd = os.openpty()
        self.resize(columns)

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))

    def printed(self, printer: StdoutPrinter) -> str:
        """Let all samples be printed; return what arrives, with the line ends that were written."""

        def write() -> None:
            for event in EVENTS:
                printer.print(event, encode(event))
            os.write(self.fd, END)

        writing = threading.Thread(target=write)
        writing.start()
        got = b""
        while not got.endswith(END):
            got += os.read(self.controller, 1 << 16)
        writing.join()
        return got.removesuffix(END).decode().replace("\r\n", "\n")

    def close(self) -> None:
        os.close(self.controller)
        os.close(self.fd)


@pytest.fixture
def pty(request: pytest.FixtureRequest) -> Iterator[Pty]:
    made = Pty(request.param)
    yield made
    made.close()


def check(name: str, text: str) -> None:
    file = GOLDEN / f"{name}.txt"
    shown = text.replace("\x1b", "␛")
    if os.environ.get("RAQIB_RENEW_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(shown)
    assert file.read_text() == shown


@pytest.mark.parametrize("pty", [40, 80, 200], indirect=True, ids="{} columns".format)
@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("terminal", TERMINALS)
def test_a_terminal_gets_what_it_can_show(terminal: str, wish: str, pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**TERMINALS[terminal], **WISHES[wish]}.items():
        monkeypatch.setenv(name, value)
    text = pty.printed(StdoutPrinter(fd=pty.fd))
    plain = terminal in ("dumb", "unknown") or wish in ("NO_COLOR", "both")
    assert plain == ("\x1b" not in text)
    width = os.get_terminal_size(pty.fd).columns
    check(f"{'plain' if plain else 'colour'}-{width}", text)
    if plain:
        assert all(cell_len(line) <= width for line in text.splitlines())


@pytest.mark.parametrize("pty", [80], indirect=True)
def test_a_window_that_changes_its_size_is_asked_each_time(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    printer = StdoutPrinter(fd=pty.fd)
    for columns in (80, 40, 200, 80):
        pty.resize(columns)
        check(f"plain-{columns}", pty.printed(printer))


@pytest.mark.parametrize("pty", [0, 1, 5], indirect=True)
def test_a_size_that_cannot_be_is_not_believed(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 says a terminal that was never told: 80 stands for it. In very narrow ones the terminal breaks lines."""
    monkeypatch.setenv("TERM", "dumb")
    text = pty.printed(StdoutPrinter(fd=pty.fd))
    if os.get_terminal_size(pty.fd).columns == 0:
        check("plain-80", text)
    assert "xmrig" in text


@pytest.mark.parametrize("pty", [80], indirect=True)
def test_a_locale_of_few_characters_gets_others_in_their_place(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(locale, "getencoding", lambda: "ANSI_X3.4-1968")
    text = pty.printed(StdoutPrinter(fd=pty.fd))
    assert text.isascii()
    assert all(len(line) <= 80 for line in text.splitlines())
    check("ascii-80", text)


@pytest.mark.parametrize(("wish", "coloured"), [("neither", False), ("FORCE_COLOR", True), ("both", False)])
def test_a_pipe_is_coloured_if_wished_and_never_broken(
    wish: str, coloured: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TERM": "xterm-256color", **WISHES[wish]}.items():
        monkeypatch.setenv(name, value)
    with (tmp_path / "out").open("w") as file:
        text = "".join(map(Pretty.for_file(file).render, EVENTS))
    assert coloured == ("\x1b" in text)
    check(f"{'colour' if coloured else 'plain'}-pipe", text)


def test_events_in_a_pipe_stay_json_whatever_is_wished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    reader, writer = os.pipe()
    StdoutPrinter(fd=writer).print(EVENTS[0], encode(EVENTS[0]))
    assert encode(EVENTS[0]) + b"\n" == os.read(reader, 1 << 16)
    os.close(reader)
    os.close(writer)
