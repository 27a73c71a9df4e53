"""How an event is named to people."""

from __future__ import annotations


def short_uuid(uuid: str) -> str:
    """Return what tells one event from another at a glance: the last group of its UUID, twelve characters.

    A UUID of version 7 begins with the time: its first 8 characters are the same for 65 seconds, its first 13 for a
    millisecond, in which several recipes may match. The last group is 48 bits of pure chance: among 100,000 events two
    share it with a probability of 1 to 50,000. Being a group, it can be selected, and searched for in logs, as it is.
    """
    return uuid.rpartition("-")[2]


def is_named_by(uuid: str, text: str) -> bool:
    """Tell whether a text names an event: by its UUID, the beginning of it, or the short form."""
    return uuid.startswith(text) or short_uuid(uuid) == text
