"""The three rules of `arbitrary`, as a table: written from the rules, not from the code."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from raqib.matcher import KnownAncestry
from raqib.matcher.arbitrary import Arbitrary
from raqib.matcher.facts import Facts
from raqib.model.process import Image, Process, ProcessKey
from raqib.recipes.load import load_text

HEAD = "- {kind: k, name: n, mechanism: file_access, breed: file_access, importance: low, arbitrary: "
DAY_S = 86400


def image(exe: str, *args: str) -> Image:
    return Image(exe.encode(), tuple(arg.encode() for arg in args))


INIT = Process(key=ProcessKey(1, 1), image=image("/usr/lib/systemd/systemd", "/sbin/init", "splash"), comm=b"systemd")
SHELL = Process(
    key=ProcessKey(50, 5),
    parent=INIT.key,
    image=image("/usr/bin/bash", "-bash"),
    comm=b"bash",
    envs=(b"SHELL=/bin/bash",),
)
CAT = Process(
    key=ProcessKey(77, 10 * DAY_S * 1_000_000_000),
    parent=SHELL.key,
    ppid=50,
    uid=1000,
    comm=b"cat",
    image=image("/usr/bin/cat", "/usr/bin/cat", "-n", "/etc/shadow"),
    previous=image("/usr/bin/sudo", "sudo", "cat"),
    exit_status=3 << 8,
    exit_ns=11 * DAY_S * 1_000_000_000,
    envs=(b"LD_PRELOAD=/tmp/x.so", b"HOME=/root"),
)
BARE = Process(key=ProcessKey(2, 0))


def passes(groups: str, process: Process = CAT, ancestors: tuple[Process, ...] = (SHELL, INIT)) -> bool:
    loaded = load_text(HEAD + groups + "}", "test.yaml")
    assert not loaded.errors, [str(error) for error in loaded.errors]
    facts = Facts(process, KnownAncestry(ancestors), lambda: 0)
    return Arbitrary(loaded.recipes[0]).passes(facts)


# Items by name: P matches and is pertinent, p is pertinent and does not match; I and i are their irrelevant twins.
# U and V are about a fact that is not known, pertinent and irrelevant.
ITEMS = {
    "P": "{what: exe, which: pertinent, pattern: cat$}",
    "p": "{what: exe, which: pertinent, pattern: dog$}",
    "I": "{what: exe, which: irrelevant, pattern: cat$}",
    "i": "{what: exe, which: irrelevant, pattern: dog$}",
    "U": "{what: remote, which: pertinent, cidr: 0.0.0.0/0}",
    "V": "{what: remote, which: irrelevant, cidr: 0.0.0.0/0}",
}

RULES = [
    # Rule 1: an irrelevant item that matches decides, whatever else there is.
    ("AND", "pertinent", "I", False),
    ("AND", "irrelevant", "I", False),
    ("OR", "pertinent", "I", False),
    ("OR", "irrelevant", "I", False),
    ("AND", "pertinent", "PI", False),
    ("OR", "pertinent", "PI", False),
    ("AND", "pertinent", "iI", False),
    ("OR", "pertinent", "iI", False),
    ("AND", "irrelevant", "PPI", False),
    ("OR", "irrelevant", "iIP", False),
    ("AND", "pertinent", "pI", False),
    # Rule 2: pertinent items decide, all or one of them.
    ("AND", "pertinent", "P", True),
    ("AND", "pertinent", "p", False),
    ("OR", "pertinent", "P", True),
    ("OR", "pertinent", "p", False),
    ("AND", "irrelevant", "P", True),
    ("OR", "irrelevant", "P", True),
    ("AND", "irrelevant", "p", False),
    ("AND", "pertinent", "PP", True),
    ("AND", "pertinent", "Pp", False),
    ("OR", "pertinent", "Pp", True),
    ("OR", "pertinent", "pP", True),
    ("OR", "pertinent", "pp", False),
    ("AND", "pertinent", "iP", True),
    ("AND", "pertinent", "ip", False),
    ("OR", "pertinent", "iPp", True),
    ("AND", "pertinent", "iPp", False),
    ("OR", "irrelevant", "iPp", True),
    # Rule 3: otherwise the group's own word stands.
    ("AND", "pertinent", "i", True),
    ("OR", "pertinent", "i", True),
    ("AND", "irrelevant", "i", False),
    ("OR", "irrelevant", "i", False),
    ("AND", "pertinent", "ii", True),
    ("AND", "pertinent", "", True),
    ("OR", "irrelevant", "", False),
    # A fact that is not known does not match.
    ("AND", "pertinent", "U", False),
    ("OR", "pertinent", "UP", True),
    ("AND", "pertinent", "UP", False),
    ("AND", "pertinent", "V", True),
    ("AND", "irrelevant", "V", False),
    ("AND", "pertinent", "VP", True),
]


@pytest.mark.parametrize(("how", "which", "items", "expected"), RULES)
def test_rules(how: str, which: str, items: str, expected: bool) -> None:
    listed = ", ".join(ITEMS[item] for item in items)
    assert expected is passes(f"[{{how: {how}, which: {which}, items: [{listed}]}}]")


@pytest.mark.parametrize(
    ("first", "second", "expected"), [("P", "P", True), ("P", "p", False), ("p", "P", False), ("P", "I", False)]
)
def test_every_group_must_end_pertinent(first: str, second: str, expected: bool) -> None:
    assert expected is passes(f"[{{how: OR, items: [{ITEMS[first]}]}}, {{how: OR, items: [{ITEMS[second]}]}}]")


def test_no_group_passes() -> None:
    assert passes("[]")


FACTS = [
    ("what: uid, number: 1000", True),
    ("what: uid, number: 0", False),
    ("what: uid, numbers: [0, 1000]", True),
    ("what: uid, numbers: 0|33", False),
    ("what: uid, number: 1001, when: smaller", True),
    ("what: uid, number: 1000, when: smaller", False),
    ("what: uid, number: 999, when: bigger", True),
    ("what: uid, number: 1000, when: bigger", False),
    ("what: uid, pattern: ^10", True),
    ("what: pid, number: 77", True),
    ("what: parent_pid, number: 50", True),
    ("what: retcode, number: 3", True),
    ("what: exe, pattern: ^/usr/bin/cat$", True),
    ("what: exe, pattern: bash", False),
    ("what: comm, pattern: ^cat$", True),
    ("what: cmd, pattern: ^cat$", True),
    ("what: cmd, pattern: /", False),
    ("what: cmdline, pattern: ^/usr/bin/cat -n /etc/shadow$", True),
    ("what: args, pattern: ^/usr/bin/cat -n", True),
    ("what: args, pattern: ' -n '", True),
    ("what: args, pattern: ' /etc/shadow '", True),
    ("what: args, pattern: ' /usr/bin/cat '", True),
    ("what: cmdline, pattern: ' /etc/shadow '", False),
    ("what: envs, pattern: ^LD_PRELOAD=/tmp/", True),
    ("what: envs, pattern: ^PATH=", False),
    ("what: start, time: '1970-01-11T00:00:00Z'", True),
    ("what: start, time: '1970-01-11T01:00:00+01:00'", True),
    ("what: start, time: '1970-01-12T00:00:00Z', when: smaller", True),
    ("what: exit, time: '1970-01-11T00:00:00Z', when: bigger", True),
    ("what: exit, time: '1970-01-12T00:00:00Z', when: bigger", False),
    ("what: parent_exe, pattern: ^/usr/bin/bash$", True),
    ("what: parent_exe, pattern: systemd", False),
    ("what: parent_comm, pattern: ^bash$", True),
    ("what: parent_cmd, pattern: ^-bash$", True),
    ("what: parent_args, pattern: ' -bash '", True),
    ("what: parent_envs, pattern: ^SHELL=", True),
    ("what: parent_or_prev_exe, pattern: bash$", True),
    ("what: parent_or_prev_exe, pattern: sudo$", True),
    ("what: parent_or_prev_exe, pattern: cat$", False),
    ("what: task_or_prev_exe, pattern: cat$", True),
    ("what: task_or_prev_exe, pattern: sudo$", True),
    ("what: task_or_prev_exe, pattern: bash$", False),
    ("what: task_or_parent_exe, pattern: cat$", True),
    ("what: task_or_parent_exe, pattern: bash$", True),
    ("what: task_or_parent_exe, pattern: systemd$", False),
    ("what: task_or_parent_comm, pattern: bash", True),
    ("what: task_or_parent_cmd, pattern: ^cat$", True),
    ("what: task_or_parent_args, pattern: ' -bash '", True),
    ("what: task_or_parent_envs, pattern: SHELL", True),
    ("what: ancient_exe, pattern: cat$", True),
    ("what: ancient_exe, pattern: systemd$", True),
    ("what: any_ancient_exe, pattern: systemd$", True),
    ("what: ancient_cmd, pattern: ^init$", True),
    ("what: any_ancient_cmd, pattern: ^init$", True),
    ("what: ancient_args, pattern: ' splash '", True),
    ("what: ancient_envs, pattern: SHELL", True),
    ("what: ancient_exe, pattern: sshd", False),
]


@pytest.mark.parametrize(("item", "expected"), FACTS)
def test_facts(item: str, expected: bool) -> None:
    assert expected is passes(f"[{{how: AND, which: pertinent, items: [{{which: pertinent, {item}}}]}}]")


UNKNOWN = [
    *(f"what: {what}, pattern: ''" for what in ("exe", "comm", "cmd", "args", "envs", "parent_exe")),
    "what: remote, pattern: .",
    "what: remote_ports, number: 1, when: bigger",
    "what: retcode, number: 1, when: smaller",
    "what: exit, time: '2999-01-01T00:00:00Z', when: smaller",
    "what: parent_pid, number: 0",
]


@pytest.mark.parametrize("item", [item.replace("pattern: ''", "pattern: .*") for item in UNKNOWN])
def test_what_is_not_known_does_not_match(item: str) -> None:
    group = "[{how: AND, which: pertinent, items: [{which: %s, " + item + "}]}]"
    assert not passes(group % "pertinent", BARE, ())
    assert passes(group % "irrelevant", BARE, ())


def test_an_item_without_which_takes_its_groups() -> None:
    assert not passes("[{which: irrelevant, items: [{what: exe, pattern: cat$}]}]")
    assert passes("[{which: pertinent, items: [{what: exe, pattern: cat$}]}]")


def test_bytes_that_are_not_text_do_not_hide_an_argument() -> None:
    process = Process(key=CAT.key, image=Image(b"/tmp/\xff\xfe\nx", (b"\xffa", b"--pool=\xff")))
    assert passes("[{items: [{what: exe, pattern: ^/tmp/...x$}]}]", process)
    assert passes("[{items: [{what: args, pattern: ' --pool=. '}]}]", process)


class CountingAncestry:
    def __init__(self) -> None:
        self.asked = 0

    def ancestors(self, process: Process) -> tuple[Process, ...]:
        self.asked += 1
        return (SHELL, INIT)


def test_ancestors_are_asked_for_once_and_only_if_needed() -> None:
    loaded = load_text(HEAD + "[{items: [{what: exe, pattern: cat}]}]}", "test.yaml")
    ancestry = CountingAncestry()
    facts = Facts(CAT, ancestry)
    Arbitrary(loaded.recipes[0]).passes(facts)
    assert ancestry.asked == 0
    facts.texts("ancient_exe")
    facts.texts("parent_exe")
    assert ancestry.asked == 1


def test_a_start_is_told_in_the_time_of_day() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    facts = Facts(CAT, KnownAncestry(), lambda: int(moment.timestamp()) * 1_000_000_000)
    assert [int(moment.timestamp()) + 10 * DAY_S] == facts.seconds("start")
