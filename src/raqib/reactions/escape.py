"""Makes a reaction's text fit for one line of a log."""

from __future__ import annotations

import re

# Controls, and what turns the direction of text around or ends a line where a terminal or a viewer does not expect it.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")


def escape(text: str) -> str:
    """Return a text in which control characters are spelled out."""
    return _UNPRINTABLE.sub(lambda found: _spell(ord(found[0])), text)


def _spell(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
