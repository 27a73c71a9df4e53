"""Makes attacker-chosen text harmless to a terminal: nothing that steers one is ever written as it is."""

from __future__ import annotations

import re

_NOT_FOR_TERMINALS = re.compile(
    rb"\x7f"  # DEL
    rb"|\xc2[\x80-\x9f]"  # C1 controls: U+009B begins a sequence on many terminals
    rb"|\xd8\x9c"  # U+061C, a mark of direction
    rb"|\xe2\x80[\x8b-\x8f\xa8-\xae]"  # of no width, marks and overrides of direction, line separators
    rb"|\xe2\x81[\xa0-\xaf]"  # isolates of direction
    rb"|\xef\xbb\xbf"  # U+FEFF
)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\\": r"\\"}


def json_line(line: bytes) -> bytes:
    r"""Return the same JSON with what a terminal might obey as ``\uXXXX``.

    JSON writers escape the controls below U+0020 only. Outside of strings there is none of these characters, so the
    replacement leaves the JSON's meaning alone.
    """
    if line.isascii() and b"\x7f" not in line:
        return line
    found = _NOT_FOR_TERMINALS.search(line)
    # Each kind at once: an attacker may have chosen a hundred thousand of them.
    while found is not None:
        line = line.replace(found[0], b"\\u%04x" % ord(found[0].decode()))
        found = _NOT_FOR_TERMINALS.search(line, found.start())
    return line


def _escape_character(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def visible(text: str, limit: int = 400) -> str:
    """Return the text with every character that is not printable shown as an escape; a backslash is doubled.

    Beyond `limit` characters it is cut, and the number of missing ones is shown.
    """
    cut = f"…(+{len(text) - limit})" if len(text) > limit else ""
    text = text[:limit]
    if not text.isprintable() or "\\" in text:
        text = "".join(map(_escape_character, text))
    return text + cut
