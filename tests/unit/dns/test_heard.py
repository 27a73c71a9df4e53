from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from raqib.dns.heard import Heard, HeardAnswer
from raqib.dns.resolver_files import FRESH_S, MOST_AT_ONCE, MOST_OF_ONE, ResolverFiles
from raqib.model.flow import Named
from raqib.model.process import Namespaces, Process, ProcessKey
from tests.unit.dns.test_answer import answer

ADDRESS = "192.0.2.1"
HOST_NET, POD_NET = 1, 2
HOST_MNT, POD_MNT = 11, 12
POD_RESOLVER, LIAR = "10.96.0.10", "203.0.113.66"


def process(pid: int, *, mnt_ns: int = POD_MNT, uid: int = 1000, cgroup: int = 0) -> Process:
    return Process(key=ProcessKey(pid, pid), uid=uid, namespaces=Namespaces(mnt_ns=mnt_ns), cgroup_id=cgroup)


class Files:
    """Reads, in threads, what lies in `texts`; what they have read is taken by `finish`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.held: dict[int, frozenset[str]] = {POD_MNT: frozenset({POD_RESOLVER})}
        self.reads = 0
        self._done: list[Callable[[], None]] = []
        self._started: list[object] = []
        self.files = ResolverFiles(self._done.append, read=self._read, clock=lambda: self.now)

    def _read(self, pid: int, mnt_ns: int) -> frozenset[str]:
        self.reads += 1
        if mnt_ns not in self.held:
            raise FileNotFoundError
        return self.held[mnt_ns]

    def finish(self) -> None:
        while self.files.is_reading:
            while self._done:
                self._done.pop(0)()


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def heard(files: Files) -> Heard:
    return Heard(files.files, clock=lambda: 0)


def told(name: str, asker: Process, server: str, net_ns: int = POD_NET) -> HeardAnswer:
    return HeardAnswer(answer(name, f"{name}. 300 A {ADDRESS}"), asker, server, net_ns, 0)


def test_resolvers_of_this_host_come_first_and_say_nothing_of_themselves(heard: Heard, files: Files) -> None:
    asker = process(1)
    heard.learn(told("liar.org", asker, LIAR), listed=False)
    files.finish()
    heard.learn_sure(answer("a.org", f"a.org. 300 A {ADDRESS}"), asker, asker.key, POD_NET, 0)
    assert Named(("a.org", "liar.org"), ("liar.org",), "unlisted") == heard.names(ADDRESS, POD_NET, asker)
    other = process(2, mnt_ns=HOST_MNT)
    assert Named(("a.org",)) == heard.names(ADDRESS, POD_NET, other)


def test_resolvers_of_the_namespace_name_for_all_in_it(heard: Heard, files: Files) -> None:
    heard.learn(told("a.org", process(1), POD_RESOLVER), listed=False)
    files.finish()
    assert Named(("a.org",), ("a.org",), "resolver") == heard.names(ADDRESS, POD_NET, process(2, uid=0))
    assert Named() == heard.names(ADDRESS, POD_NET, process(3, mnt_ns=HOST_MNT))
    assert Named() == heard.names(ADDRESS, HOST_NET, process(3))


def test_until_its_file_was_read_nobody_is_a_resolver(heard: Heard, files: Files) -> None:
    heard.learn(told("a.org", process(1), POD_RESOLVER), listed=False)
    assert Named(("a.org",), ("a.org",), "unlisted") == heard.names(ADDRESS, POD_NET, process(1))
    files.finish()
    assert Named(("a.org",), ("a.org",), "resolver") == heard.names(ADDRESS, POD_NET, process(1))


def test_what_any_server_says_is_for_the_user_who_asked(heard: Heard, files: Files) -> None:
    heard.learn(told("a.org", process(1), LIAR), listed=False)
    files.finish()
    assert Named(("a.org",), ("a.org",), "unlisted") == heard.names(ADDRESS, POD_NET, process(2))
    for other in (process(3, uid=0), process(4, uid=1001), process(5, mnt_ns=HOST_MNT)):
        assert Named() == heard.names(ADDRESS, POD_NET, other)
    assert Named() == heard.names(ADDRESS, HOST_NET, process(2))
    assert () == heard.sure.addresses_below({"a.org"})


def test_a_changed_file_counts_from_the_next_answer_on(heard: Heard, files: Files) -> None:
    heard.learn(told("a.org", process(1), POD_RESOLVER), listed=False)
    files.finish()
    files.held[POD_MNT] = frozenset({LIAR})
    files.now += FRESH_S
    heard.learn(told("b.org", process(1), LIAR), listed=False)
    files.finish()
    assert "resolver" == heard.names(ADDRESS, POD_NET, process(2)).names_from
    heard.learn(told("c.org", process(1), POD_RESOLVER), listed=False)
    assert "unlisted" == heard.names(ADDRESS, POD_NET, process(1)).names_from
    assert 2 == files.reads


def test_of_whom_it_is_not_known_where_it_is_nothing_is_learned(heard: Heard, files: Files) -> None:
    heard.learn(told("a.org", process(1, mnt_ns=0), LIAR), listed=False)
    heard.learn(told("a.org", process(1), LIAR, net_ns=0), listed=False)
    assert Named() == heard.names(ADDRESS, POD_NET, process(1, mnt_ns=0))
    assert Named() == heard.names(ADDRESS, 0, process(1))
    assert 0 == files.reads


def test_what_others_made_up_pushes_out_nothing_of_the_hosts(heard: Heard, files: Files) -> None:
    asker = process(1)
    heard.learn_sure(answer("a.org", f"a.org. 300 A {ADDRESS}"), asker, asker.key, POD_NET, 0)
    for number in range(100):
        heard.learn(told(f"n{number}.org", process(2), LIAR), listed=False)
    files.finish()
    assert "a.org" == heard.names(ADDRESS, POD_NET, asker).names[0]


def test_it_is_counted_what_is_not_read() -> None:
    stuck = ResolverFiles(lambda done: None, read=lambda pid, mnt_ns: frozenset())
    heard = Heard(stuck, clock=lambda: 0)
    for number in range(MOST_OF_ONE + 3):
        heard.learn(told("a.org", process(1, mnt_ns=100 + number), LIAR), listed=False)
    assert 3 == heard.unread


def test_reads_that_never_end_stop_only_their_users() -> None:
    files = ResolverFiles(lambda done: None, read=lambda pid, mnt_ns: frozenset())  # nobody takes what was read
    started = [files.refresh(1, number, 1000, lambda: None) for number in range(MOST_OF_ONE + 2)]
    assert [True] * MOST_OF_ONE + [False] * 2 == started
    others = [files.refresh(1, 100 + number, 2000 + number, lambda: None) for number in range(MOST_AT_ONCE)]
    assert MOST_AT_ONCE - MOST_OF_ONE == sum(others)
    assert files.refused == 2 + MOST_OF_ONE


def test_a_file_for_which_no_thread_can_be_started_is_read_later(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert not files.files.refresh(1, POD_MNT, 1000, lambda: None)
    assert 1 == files.files.refused
    assert not files.files.is_reading
    assert files.files.refresh(1, POD_MNT, 1000, lambda: None)
    files.finish()
    assert frozenset({POD_RESOLVER}) == files.files.resolvers(POD_MNT)
