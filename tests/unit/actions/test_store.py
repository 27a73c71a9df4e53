from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raqib.actions import store as store_module
from raqib.actions.store import MAX_KEY_BYTES, MAX_VALUE_BYTES, Store, StoreError
from raqib.errors import RaqibError


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened = Store(tmp_path / "store.db", clock)
    yield opened
    opened.close()


def test_set_get_delete(store: Store) -> None:
    assert store.get("r", "k") is None
    store.set("r", "k", "v")
    assert store.get("r", "k") == "v"
    assert store.delete("r", "k")
    assert not store.delete("r", "k")
    assert store.get("r", "k") is None


def test_namespaces_count_what_is_there(store: Store, clock: Clock) -> None:
    assert {} == store.namespaces()
    store.set("b", "k", "v")
    store.push("b", "list", "one")
    store.push("b", "list", "two")
    store.set("a", "soon gone", "v", ttl_s=10)
    store.set("c", "k", "v")
    store.delete("c", "k")
    assert [("a", 1), ("b", 2)] == list(store.namespaces().items())
    clock.now += 10
    assert {"b": 2} == store.namespaces()


def test_empty_value_is_a_value(store: Store) -> None:
    store.set("r", "k", "")
    assert store.get("r", "k") == ""


def test_namespaces_are_apart(store: Store) -> None:
    store.set("one", "k", "1")
    store.set("two", "k", "2")
    store.set("two", "l", "3")
    assert store.get("one", "k") == "1"
    assert store.keys("two") == ["k", "l"]
    assert store.size("one") == 1


def test_survives_a_restart(tmp_path: Path) -> None:
    first = Store(tmp_path / "again.db")
    first.set("r", "k", "v")
    first.close()
    second = Store(tmp_path / "again.db")
    assert second.get("r", "k") == "v"
    second.close()


def test_time_to_live(store: Store, clock: Clock) -> None:
    store.set("r", "k", "v", ttl_s=10)
    clock.now += 9.9
    assert store.get("r", "k") == "v"
    clock.now += 0.2
    assert store.get("r", "k") is None
    assert store.keys("r") == []
    assert store.size("r") == 0
    assert not store.delete("r", "k")
    assert store.increment("r", "k") == 1


def test_set_without_time_to_live_ends_the_old_one(store: Store, clock: Clock) -> None:
    store.set("r", "k", "v", ttl_s=10)
    store.set("r", "k", "w")
    clock.now += 100
    assert store.get("r", "k") == "w"


def test_increment_keeps_the_end_it_has(store: Store, clock: Clock) -> None:
    assert store.increment("r", "k", 1, 10) == 1
    clock.now += 5
    assert store.increment("r", "k") == 2
    clock.now += 6
    assert store.increment("r", "k") == 1


def test_increment_by_fractions_and_backwards(store: Store) -> None:
    assert store.increment("r", "k", 2.5) == 2.5
    assert store.increment("r", "k", -0.5) == 2
    assert store.get("r", "k") == "2"


def test_increment_of_a_text_changes_nothing(store: Store) -> None:
    store.set("r", "k", "text")
    with pytest.raises(StoreError, match="expected a number, found a text"):
        store.increment("r", "k")
    assert store.get("r", "k") == "text"


def test_increments_are_atomic_between_threads(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: store.increment("r", "k"), range(400)))
    assert sorted(results) == list(range(1, 401))


def test_increments_are_atomic_between_processes(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    Store(path).close()
    code = (
        "import sys, pathlib; from raqib.actions.store import Store\n"
        "store = Store(pathlib.Path(sys.argv[1]))\n"
        "for _ in range(100): store.increment('r', 'k')\n"
        "store.close()"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    store = Store(path)
    assert store.get("r", "k") == "300"
    store.close()


def test_limits(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="expected a key of at most"):
        store.set("r", "k" * (MAX_KEY_BYTES + 1), "v")
    with pytest.raises(StoreError, match="expected a value of at most"):
        store.set("r", "k", "v" * (MAX_VALUE_BYTES + 1))
    with pytest.raises(StoreError, match="above 0"):
        store.set("r", "k", "v", ttl_s=0)
    monkeypatch.setattr(store_module, "MAX_NAMESPACE_KEYS", 2)
    store.set("r", "a", "1")
    store.set("r", "b", "2")
    with pytest.raises(StoreError, match="2 keys already"):
        store.set("r", "c", "3")
    assert store.keys("r") == ["a", "b"]
    store.set("r", "b", "changed")
    store.delete("r", "a")
    store.set("r", "c", "3")
    monkeypatch.setattr(store_module, "MAX_NAMESPACE_BYTES", 20)
    with pytest.raises(StoreError, match="20 bytes already"):
        store.set("r", "b", "x" * 30)
    assert store.get("r", "b") == "changed"


def test_expired_keys_make_room(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_NAMESPACE_KEYS", 1)
    store.set("r", "a", "1", ttl_s=1)
    clock.now += 2
    store.set("r", "b", "2")
    assert store.keys("r") == ["b"]


def test_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "later.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(RaqibError, match="found 99"):
        Store(path)


def test_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("not a database at all, but long enough to be taken for one" * 50)
    with pytest.raises(RaqibError, match="expected a data store"):
        Store(path)


def test_list_is_last_in_first_out_and_vanishes(store: Store) -> None:
    for value in ("one", "", "three"):
        store.push("r", "l", value)
    assert store.keys("r") == ["l"]
    assert [store.pop("r", "l") for _ in range(4)] == ["three", "", "one", None]
    assert store.keys("r") == []
    store.push("r", "l", "again")
    assert store.pop("r", "l") == "again"


def test_list_is_no_text_and_text_no_list(store: Store) -> None:
    store.push("r", "l", "x")
    store.set("r", "t", "y")
    for change in (
        lambda: store.get("r", "l"),
        lambda: store.set("r", "l", "z"),
        lambda: store.increment("r", "l"),
    ):
        with pytest.raises(StoreError, match="expected a text, it holds a list"):
            change()
    for change in (lambda: store.push("r", "t", "z"), lambda: store.pop("r", "t")):
        with pytest.raises(StoreError, match="expected a list, it holds a text"):
            change()
    assert store.values("r", 100) == [["x"], "y"]


def test_list_is_deleted_whole_and_its_room_is_free_again(store: Store) -> None:
    changes: tuple[Callable[[], object], ...] = (lambda: store.delete("r", "l"), lambda: store.clear("r"))
    for change in changes:
        for _ in range(3):
            store.push("r", "l", "x" * 100)
        assert store._sizes("r") == (1, 1 + 3 * 116)
        change()
        assert store._sizes("r") == (0, 0)
        assert store.pop("r", "l") is None


def test_values(store: Store, clock: Clock) -> None:
    store.set("r", "a", "1", ttl_s=5)
    store.push("r", "b", "2")
    store.push("r", "b", "3")
    assert [store.has_value("r", value) for value in ("1", "2", "3", "")] == [True, True, True, False]
    clock.now += 6
    assert not store.has_value("r", "1")
    assert not store.has("r", "a")
    assert store.has("r", "b")
    with pytest.raises(StoreError, match="at most 7 bytes"):
        store.values("r", 7)


def test_lists_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_NAMESPACE_BYTES", 100)
    for _ in range(5):
        store.push("r", "l", "")
    with pytest.raises(StoreError, match="100 bytes already"):
        store.push("r", "l", "x" * 20)
    assert store.pop("r", "l") == ""


def test_all_namespaces_together_are_bounded(tmp_path: Path) -> None:
    store = Store(tmp_path / "small.db", max_total_bytes=50)
    store.set("one", "k", "x" * 30)
    with pytest.raises(StoreError, match="data store has 50 bytes already"):
        store.set("two", "k", "x" * 30)
    store.set("one", "k", "")
    store.set("two", "k", "x" * 30)
    store.close()


def test_file_of_an_earlier_version_is_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "earlier.db"
    db = sqlite3.connect(path)
    db.executescript(f"{store_module._SCHEMA}; INSERT INTO entries VALUES ('r', 'k', 'v', NULL); PRAGMA user_version=1")
    db.close()
    store = Store(path)
    assert store.get("r", "k") == "v"
    store.push("r", "l", "x")
    assert store.keys("r") == ["k", "l"]
    store.close()


def test_items_are_texts_and_lists(store: Store) -> None:
    store.set("recipe", "b", "text")
    store.push("recipe", "a", "one")
    store.push("recipe", "a", "two")
    store.set("other", "c", "x")
    assert {"a": ["one", "two"], "b": "text"} == store.items("recipe")
