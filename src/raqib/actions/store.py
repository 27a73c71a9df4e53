"""The reactions' data: one namespace a recipe, in SQLite, so that every call is done whole or not at all."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from raqib.errors import RaqibError

SCHEMA_VERSION = 1

MAX_KEY_BYTES = 1024
MAX_VALUE_BYTES = 256 * 1024
MAX_NAMESPACE_KEYS = 100_000
MAX_NAMESPACE_BYTES = 64 << 20

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

_GET = "SELECT value, expires FROM entries WHERE namespace = ? AND (expires IS NULL OR expires > ?) AND key = ?"
_KEYS = "SELECT key FROM entries WHERE namespace = ? AND (expires IS NULL OR expires > ?) ORDER BY key"
_COUNT = "SELECT count(*) FROM entries WHERE namespace = ? AND (expires IS NULL OR expires > ?)"
_PUT = """
INSERT INTO entries VALUES (?, ?, ?, ?)
ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value, expires = excluded.expires
"""


class StoreError(RaqibError):
    """A call that the store does not take; nothing was changed."""


class Store:
    """The open store. May be used from several threads; calls block for as long as the disk takes."""

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.time) -> None:
        """Open or create the store; None keeps it in memory.

        Raises RaqibError if it was written by a later version or is not a store.
        """
        self._clock = clock
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, timeout=1.0)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._db.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")
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
        """Return the value of a key, or None."""
        with self._lock:
            return self._get(namespace, key)

    def set(self, namespace: str, key: str, value: str, ttl_s: float | None = None) -> None:
        """Give a key a value, for `ttl_s` seconds or for ever. Raises StoreError beyond a limit."""
        _check_size("key", key, MAX_KEY_BYTES)
        _check_size("value", value, MAX_VALUE_BYTES)
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._put(namespace, key, value, self._expiry(ttl_s))

    def delete(self, namespace: str, key: str) -> bool:
        """Remove a key; False if it was not there."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._expire(namespace)
            return (
                self._db.execute("DELETE FROM entries WHERE namespace = ? AND key = ?", (namespace, key)).rowcount > 0
            )

    def increment(self, namespace: str, key: str, by: float = 1, ttl_s: float | None = None) -> float:
        """Add to a number and return the sum; a key that is not there counts as 0.

        Without `ttl_s` the key keeps the end that it has. Raises StoreError if the value is not a number.
        """
        _check_size("key", key, MAX_KEY_BYTES)
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            row = self._db.execute(_GET, (namespace, self._clock(), key))
            value, expires = row.fetchone() or ("0", None)
            total = _number(key, value) + by
            if not math.isfinite(total):
                raise StoreError(f"key {key!r}: the sum is too large for a number")
            text = str(int(total)) if total == int(total) and abs(total) < 2**53 else repr(total)
            self._put(namespace, key, text, expires if ttl_s is None else self._expiry(ttl_s))
            return total

    def keys(self, namespace: str) -> list[str]:
        """Return all keys, in order."""
        with self._lock:
            rows = self._db.execute(_KEYS, (namespace, self._clock()))
            return [key for (key,) in rows]

    def size(self, namespace: str) -> int:
        """Return the number of keys."""
        with self._lock:
            row = self._db.execute(_COUNT, (namespace, self._clock())).fetchone()
            return int(row[0])

    def _get(self, namespace: str, key: str) -> str | None:
        row = self._db.execute(_GET, (namespace, self._clock(), key)).fetchone()
        return None if row is None else str(row[0])

    def _put(self, namespace: str, key: str, value: str, expires: float | None) -> None:
        self._expire(namespace)
        self._db.execute(_PUT, (namespace, key, value, expires))
        keys, size = self._db.execute("SELECT keys, bytes FROM sizes WHERE namespace = ?", (namespace,)).fetchone()
        if keys > MAX_NAMESPACE_KEYS:
            raise StoreError(f"the recipe's data has {MAX_NAMESPACE_KEYS} keys already; delete some")
        if size > MAX_NAMESPACE_BYTES:
            raise StoreError(f"the recipe's data has {MAX_NAMESPACE_BYTES} bytes already; delete some")

    def _expire(self, namespace: str) -> None:
        self._db.execute("DELETE FROM entries WHERE namespace = ? AND expires <= ?", (namespace, self._clock()))

    def _expiry(self, ttl_s: float | None) -> float | None:
        if ttl_s is None:
            return None
        if ttl_s <= 0:
            raise StoreError(f"expected a number of seconds above 0, got {ttl_s}")
        return self._clock() + ttl_s


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
