"""The reactions' data: one namespace a recipe, in SQLite, so that every call is done whole or not at all.

A key holds a text, or a list of texts. What a call that returned has changed is on the disk.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from raqib.errors import RaqibError

SCHEMA_VERSION = 2

MAX_KEY_BYTES = 1024
MAX_VALUE_BYTES = 256 * 1024
MAX_NAMESPACE_KEYS = 100_000
MAX_NAMESPACE_BYTES = 64 << 20
MAX_TOTAL_BYTES = 512 << 20
"""All namespaces together."""

SHARED_NAMESPACE = "*"
"""The namespace of all recipes; none of them can have that name."""

_SCHEMA = """
CREATE TABLE entries (
    namespace TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, expires REAL,
    PRIMARY KEY (namespace, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX entries_expires ON entries (namespace, expires) WHERE expires IS NOT NULL;
CREATE TABLE sizes (
    namespace TEXT NOT NULL PRIMARY KEY, keys INTEGER NOT NULL, bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER entries_added AFTER INSERT ON entries BEGIN
    INSERT INTO sizes VALUES (new.namespace, 1, length(CAST(new.key || new.value AS BLOB)))
    ON CONFLICT (namespace) DO UPDATE SET keys = keys + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER entries_removed AFTER DELETE ON entries BEGIN
    UPDATE sizes SET keys = keys - 1, bytes = bytes - length(CAST(old.key || old.value AS BLOB))
    WHERE namespace = old.namespace;
END;
CREATE TRIGGER entries_changed AFTER UPDATE OF value ON entries BEGIN
    UPDATE sizes SET bytes = bytes + length(CAST(new.value AS BLOB)) - length(CAST(old.value AS BLOB))
    WHERE namespace = old.namespace;
END;
"""

# A list is an entry without a text of its own, and its items. Each counts 16 bytes beside its text: empty ones are not
# free.
_LISTS = """
ALTER TABLE entries ADD COLUMN list INTEGER NOT NULL DEFAULT 0;
CREATE TABLE items (
    namespace TEXT NOT NULL, key TEXT NOT NULL, position INTEGER NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (namespace, key, position)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER items_added AFTER INSERT ON items BEGIN
    UPDATE sizes SET bytes = bytes + 16 + length(CAST(new.value AS BLOB)) WHERE namespace = new.namespace;
END;
CREATE TRIGGER items_removed AFTER DELETE ON items BEGIN
    UPDATE sizes SET bytes = bytes - 16 - length(CAST(old.value AS BLOB)) WHERE namespace = old.namespace;
END;
CREATE TRIGGER lists_removed AFTER DELETE ON entries WHEN old.list BEGIN
    DELETE FROM items WHERE namespace = old.namespace AND key = old.key;
END;
"""

_MIGRATIONS = (_SCHEMA, _LISTS)
"""From each version to the next."""

_GET = "SELECT value, expires, list FROM entries WHERE namespace = ? AND (expires IS NULL OR expires > ?) AND key = ?"
_KEYS = "SELECT key FROM entries WHERE namespace = ? AND (expires IS NULL OR expires > ?) ORDER BY key"
_COUNT = "SELECT count(*) FROM entries WHERE namespace = ? AND (expires IS NULL OR expires > ?)"
_NAMESPACES = """
SELECT namespace, count(*) FROM entries WHERE expires IS NULL OR expires > ? GROUP BY namespace ORDER BY namespace
"""
_HELD = """
FROM entries LEFT JOIN items USING (namespace, key) WHERE namespace = ? AND (expires IS NULL OR expires > ?)
"""
_VALUES = f"SELECT key, entries.value, items.value {_HELD} ORDER BY key, position"
_HAS_VALUE = f"SELECT EXISTS (SELECT 1 {_HELD} AND coalesce(items.value, entries.value) = ?)"
_PUSH = """
INSERT INTO items SELECT ?, ?, coalesce(max(position) + 1, 0), ? FROM items WHERE namespace = ? AND key = ?
"""
_LAST = "SELECT position, value FROM items WHERE namespace = ? AND key = ? ORDER BY position DESC LIMIT 1"
_DROP = "DELETE FROM items WHERE namespace = ? AND key = ? AND position = ?"
_PUT = """
INSERT INTO entries (namespace, key, value, expires) VALUES (?, ?, ?, ?)
ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value, expires = excluded.expires
"""


class StoreError(RaqibError):
    """A call that the store does not take; nothing was changed."""


class Store:
    """The open store. May be used from several threads; calls block for as long as the disk takes."""

    def __init__(
        self, path: Path | None, clock: Callable[[], float] = time.time, max_total_bytes: int = MAX_TOTAL_BYTES
    ) -> None:
        """Open or create the store; None keeps it in memory.

        Raises RaqibError if it was written by a later version or is not a store.
        """
        self._clock = clock
        self._max_total_bytes = max_total_bytes
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, timeout=5.0)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            for step in range(version, SCHEMA_VERSION):
                self._db.executescript(f"BEGIN;{_MIGRATIONS[step]}PRAGMA user_version = {step + 1};COMMIT;")
        except sqlite3.Error as error:
            raise RaqibError(f"{path}: expected a data store, got: {error}; move it away to start a new one") from error
        if version > SCHEMA_VERSION:
            self._db.close()
            raise RaqibError(f"{path}: expected a store of version {SCHEMA_VERSION}, found {version}; update raqib")

    def close(self) -> None:
        """Close the store."""
        with self._lock:
            self._db.close()

    def get(self, namespace: str, key: str) -> str | None:
        """Return the text of a key, or None. Raises StoreError if it holds a list."""
        with self._lock:
            found = self._find(namespace, key)
        return _text(key, found).value if found is not None else None

    def set(self, namespace: str, key: str, value: str, ttl_s: float | None = None) -> None:
        """Give a key a text, for `ttl_s` seconds or for ever. Raises StoreError beyond a limit or for a list."""
        _check_size("key", key, MAX_KEY_BYTES)
        _check_size("value", value, MAX_VALUE_BYTES)
        with self._change(namespace):
            _text(key, self._find(namespace, key))
            self._put(namespace, key, value, self._expiry(ttl_s))

    def delete(self, namespace: str, key: str) -> bool:
        """Remove a key, a list whole; False if it was not there."""
        with self._change(namespace):
            return self._delete(namespace, key)

    def clear(self, namespace: str) -> int:
        """Remove all keys and return how many there were."""
        with self._change(namespace):
            return self._db.execute("DELETE FROM entries WHERE namespace = ?", (namespace,)).rowcount

    def increment(self, namespace: str, key: str, by: float = 1, ttl_s: float | None = None) -> float:
        """Add to a number and return the sum; a key that is not there counts as 0.

        Without `ttl_s` the key keeps the end that it has. Raises StoreError if the value is not a number.
        """
        _check_size("key", key, MAX_KEY_BYTES)
        with self._change(namespace):
            found = _text(key, self._find(namespace, key) or _Found("0", None, 0))
            total = _number(key, found.value) + by
            if not math.isfinite(total):
                raise StoreError(f"key {key!r}: the sum is too large for a number")
            text = str(int(total)) if total == int(total) and abs(total) < 2**53 else repr(total)
            self._put(namespace, key, text, found.expires if ttl_s is None else self._expiry(ttl_s))
            return total

    def push(self, namespace: str, key: str, value: str) -> None:
        """Add to the end of a list; one that is not there is created.

        Raises StoreError beyond a limit, or if the key holds a text.
        """
        _check_size("key", key, MAX_KEY_BYTES)
        _check_size("value", value, MAX_VALUE_BYTES)
        with self._change(namespace):
            if (found := self._find(namespace, key)) is None:
                self._db.execute("INSERT INTO entries VALUES (?, ?, '', NULL, 1)", (namespace, key))
            elif not found.list:
                raise StoreError(f"key {key!r}: expected a list, it holds a text")
            self._db.execute(_PUSH, (namespace, key, value, namespace, key))

    def pop(self, namespace: str, key: str) -> str | None:
        """Take the last text off a list, which vanishes with its last; None if there is no such list.

        Raises StoreError if the key holds a text.
        """
        with self._change(namespace):
            found = self._find(namespace, key)
            if found is None:
                return None
            if not found.list:
                raise StoreError(f"key {key!r}: expected a list, it holds a text")
            position, value = self._db.execute(_LAST, (namespace, key)).fetchone()
            if position == 0:
                self._delete(namespace, key)
            else:
                self._db.execute(_DROP, (namespace, key, position))
            return str(value)

    def has(self, namespace: str, key: str) -> bool:
        """Tell whether there is such a key."""
        with self._lock:
            return self._find(namespace, key) is not None

    def has_value(self, namespace: str, value: str) -> bool:
        """Tell whether a key, or a list, holds that text."""
        with self._lock:
            return bool(self._db.execute(_HAS_VALUE, (namespace, self._clock(), value)).fetchone()[0])

    def keys(self, namespace: str) -> list[str]:
        """Return all keys, in order."""
        with self._lock:
            rows = self._db.execute(_KEYS, (namespace, self._clock()))
            return [key for (key,) in rows]

    def values(self, namespace: str, limit_bytes: int) -> list[str | list[str]]:
        """Return what all keys hold, in the order of the keys. Raises StoreError if that is more than the limit."""
        return list(self.items(namespace, limit_bytes).values())

    def items(self, namespace: str, limit_bytes: int = MAX_NAMESPACE_BYTES) -> dict[str, str | list[str]]:
        """Return all keys, in order, and what they hold. Raises StoreError if the values are more than the limit."""
        held: dict[str, str | list[str]] = {}
        room = limit_bytes
        with self._lock:
            for key, value, item in self._db.execute(_VALUES, (namespace, self._clock())):
                room -= len((value if item is None else item).encode()) + 3
                if room < 0:
                    raise StoreError(f"expected values that take at most {limit_bytes} bytes together, there are more")
                if item is None:
                    held[key] = value
                else:
                    of_list = held.setdefault(key, [])
                    assert isinstance(of_list, list)  # noqa: S101 -- only a list has items
                    of_list.append(item)
        return held

    def namespaces(self) -> dict[str, int]:
        """Return the number of keys of each namespace that has any, in order of their names."""
        with self._lock:
            rows = self._db.execute(_NAMESPACES, (self._clock(),))
            return {str(name): int(keys) for name, keys in rows}

    def size(self, namespace: str) -> int:
        """Return the number of keys."""
        with self._lock:
            row = self._db.execute(_COUNT, (namespace, self._clock())).fetchone()
            return int(row[0])

    @contextlib.contextmanager
    def _change(self, namespace: str) -> Iterator[None]:
        """Do what is within wholly, or not at all if it raises or goes beyond a limit."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._expire(namespace)
            before = self._sizes(namespace)
            yield
            keys, size = self._sizes(namespace)
            # What makes it smaller is allowed in any case.
            if keys > before[0] and keys > MAX_NAMESPACE_KEYS:
                raise StoreError(f"the recipe's data has {MAX_NAMESPACE_KEYS} keys already; delete some")
            if size > before[1] and size > MAX_NAMESPACE_BYTES:
                raise StoreError(f"the recipe's data has {MAX_NAMESPACE_BYTES} bytes already; delete some")
            if size > before[1] and self._total() > self._max_total_bytes:
                raise StoreError(f"the data store has {self._max_total_bytes} bytes already; delete some")

    def _sizes(self, namespace: str) -> tuple[int, int]:
        row = self._db.execute("SELECT keys, bytes FROM sizes WHERE namespace = ?", (namespace,)).fetchone()
        return (0, 0) if row is None else (row[0], row[1])

    def _total(self) -> int:
        return int(self._db.execute("SELECT coalesce(sum(bytes), 0) FROM sizes").fetchone()[0])

    def _find(self, namespace: str, key: str) -> _Found | None:
        row = self._db.execute(_GET, (namespace, self._clock(), key)).fetchone()
        return None if row is None else _Found(*row)

    def _put(self, namespace: str, key: str, value: str, expires: float | None) -> None:
        self._db.execute(_PUT, (namespace, key, value, expires))

    def _delete(self, namespace: str, key: str) -> bool:
        return self._db.execute("DELETE FROM entries WHERE namespace = ? AND key = ?", (namespace, key)).rowcount > 0

    def _expire(self, namespace: str) -> None:
        self._db.execute("DELETE FROM entries WHERE namespace = ? AND expires <= ?", (namespace, self._clock()))

    def _expiry(self, ttl_s: float | None) -> float | None:
        if ttl_s is None:
            return None
        if ttl_s <= 0:
            raise StoreError(f"expected a number of seconds above 0, got {ttl_s}")
        return self._clock() + ttl_s


class _Found(NamedTuple):
    """An entry."""

    value: str
    expires: float | None
    list: int


_FoundOrNone = TypeVar("_FoundOrNone", bound=_Found | None)


def _text(key: str, found: _FoundOrNone) -> _FoundOrNone:
    """Return an entry that is no list."""
    if found is not None and found.list:
        raise StoreError(f"key {key!r}: expected a text, it holds a list")
    return found


def _check_size(what: str, text: str, limit: int) -> None:
    if (size := len(text.encode())) > limit:
        raise StoreError(f"expected a {what} of at most {limit} bytes, got {size}")


def _number(key: str, value: str) -> float:
    try:
        return int(value)
    except ValueError:
        pass
    try:
        return float(value)
    except ValueError:
        raise StoreError(f"key {key!r}: expected a number, found a text") from None
