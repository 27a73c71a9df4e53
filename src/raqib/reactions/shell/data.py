"""The event as a shell reaction finds it in its environment: ASCII that no `echo` of any shell changes."""

from __future__ import annotations

import re

import msgspec

MAX_BYTES = 96 * 1024
"""The kernel takes at most 128 KiB in one variable."""

# In JSON a backslash begins an escape, and stands in strings only.
_TO_SPELL = re.compile(r"""\\(?:u[0-9a-fA-F]{4}|.)|['\x7f-\U0010ffff]""")

_SHORT = {"b": 8, "t": 9, "n": 10, "f": 12, "r": 13}

_ESSENTIALS = ("uuid", "timestamp", "event_type", "metadata")
"""What is left of an event that is too large even without its background."""


def reaction_data(event_json: bytes) -> str:
    """Return an event's JSON with every control character, quote, backslash and non-ASCII character spelled out.

    Above `MAX_BYTES` the background is left out, and whatever else has to be; then `truncated` is true.
    """
    spelled = spell(event_json)
    if len(spelled) <= MAX_BYTES:
        return spelled
    members = msgspec.json.decode(event_json, type=dict[str, msgspec.Raw])
    members.pop("background", None)
    if "base" in members:
        base = msgspec.json.decode(members["base"], type=dict[str, msgspec.Raw])
        base.pop("background", None)
        members["base"] = msgspec.Raw(msgspec.json.encode(base))
    for kept in (members, {name: members[name] for name in _ESSENTIALS if name in members}):
        spelled = spell(msgspec.json.encode({**kept, "truncated": True}))
        if len(spelled) <= MAX_BYTES:
            return spelled
    return '{"truncated":true}'


def spell(json: bytes) -> str:
    r"""Return the same JSON in ASCII, with no other escape in it than `\uXXXX`."""
    return _TO_SPELL.sub(_spell, json.decode("utf-8", "replace"))


def _spell(found: re.Match[str]) -> str:
    text = found[0]
    if text.startswith("\\u"):
        return text
    if text.startswith("\\"):
        return f"\\u{_SHORT.get(text[1]) or ord(text[1]):04x}"
    raw = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[at]:02x}{raw[at + 1]:02x}" for at in range(0, len(raw), 2))
