from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.color import ColorSystem

from raqib.model.event import (
    Attack,
    Attenuator,
    Background,
    Endpoint,
    Event,
    FileInfo,
    Flow,
    Loss,
    Metadata,
    ProcessInfo,
)
from raqib.printers import Pretty
from raqib.printers.pretty import _endpoint

MakeEvent = Callable[..., Event]


def test_one_glance_tells_it_all() -> None:
    event = Event(
        uuid="01890a5d-ac96-774b-bcce-b302099a8057",
        timestamp="2026-01-02T03:04:05.678901234Z",
        event_type="file_access",
        metadata=Metadata(
            kind="example",
            name="shadow_read",
            format="file_access",
            importance="high",
            description="Password hashes were read",
            attack=Attack(tactic="TA0006", technique="T1003", subtechnique="T1003.008"),
        ),
        process=ProcessInfo(
            exe="/usr/bin/cat", args=["cat", "/etc/shadow", "a b"], pid=300, uid=1000, container={"name": "web"}
        ),
        file=FileInfo(path="/etc/shadow", actions=["open", "read"], deleted=True),
        flow=Flow(ip_version=4, proto="TCP", remote=Endpoint(address="192.0.2.1", port=443, names=["example.org"])),
        background=Background(
            ancestry=[
                ProcessInfo(exe="/sbin/init", pid=1),
                ProcessInfo(comm="sshd", pid=200),
                ProcessInfo(exe="/usr/bin/cat", pid=300),
            ]
        ),
        attenuator=Attenuator(interpretation="a backup"),
        note="arguments were cut",
        loss=Loss(lost=3),
    )
    expected = """\
2026-01-02 03:04:05.678Z  HIGH      shadow_read file_access Password hashes were read [T1003.008]  b302099a8057
  process  /usr/bin/cat /etc/shadow 'a b'  pid 300
  who      init(1)
           └ sshd(200)
             └ cat(300)
  where    container web  uid 1000
  file     /etc/shadow  open read  (deleted)
  peer     TCP  ? → example.org 192.0.2.1:443
  note     arguments were cut
  verdict  a backup
  loss     3 accesses were not recorded
"""
    assert expected == Pretty().render(event)


def test_an_event_without_anything_is_one_line(make_event: MakeEvent) -> None:
    assert "2026-01-02 03:04:05.678Z  LOW       example execution  000000000000\n" == Pretty().render(make_event())


def test_a_disguised_program_shows_its_disguise(make_event: MakeEvent) -> None:
    text = Pretty().render(make_event(process=ProcessInfo(exe="/tmp/x", args=["[kworker/0:1]", "-o"])))
    assert "  process  /tmp/x (as '[kworker/0:1]') -o\n" in text


def test_a_login_shell_is_no_disguise(make_event: MakeEvent) -> None:
    text = Pretty().render(make_event(process=ProcessInfo(exe="/bin/bash", args=["-bash"], pid=5)))
    assert "  process  /bin/bash  pid 5\n" in text


def test_a_long_ancestry_keeps_its_ends(make_event: MakeEvent) -> None:
    ancestry = [ProcessInfo(comm="p", pid=pid) for pid in range(1, 21)]
    text = Pretty().render(make_event(background=Background(ancestry=ancestry)))
    expected = """\
  who      p(1)
           └ … 15 more
             └ p(17)
               └ p(18)
                 └ p(19)
                   └ p(20)
"""
    assert expected in text


def test_an_ipv6_address_with_port_is_bracketed(make_event: MakeEvent) -> None:
    text = Pretty().render(
        make_event(flow=Flow(ip_version=6, proto="UDP", remote=Endpoint(address="2001:db8::1", port=53)))
    )
    assert "→ [2001:db8::1]:53\n" in text


def test_fields_of_a_notification_are_shown(make_event: MakeEvent) -> None:
    text = Pretty().render(make_event(fields={"title": msgspec.Raw(b'"found \\u001b"')}))
    assert '  title    "found \\\\u001b"\n' in text


@pytest.mark.parametrize("importance", ["none", "low", "medium", "high", "critical"])
def test_importance_has_its_colour(make_event: MakeEvent, importance: str) -> None:
    coloured = Pretty(ColorSystem.STANDARD).render(make_event(importance=importance))
    plain = Pretty().render(make_event(importance=importance))
    assert f"m {importance.upper():<8} \x1b[0m" in coloured
    assert "\x1b" not in plain


HOSTILE = st.text(max_size=20) | st.text("\x1b[]m;\x07\x9b\r\n\x7f\u202e\\", max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_nothing_in_an_event_can_steer_the_terminal(make_event: MakeEvent, data: st.DataObject) -> None:
    def hostile() -> str:
        return data.draw(HOSTILE)

    process = ProcessInfo(
        exe=hostile(), comm=hostile(), args=[hostile(), hostile()], container={"id": hostile()}, pid=1
    )
    event = make_event(
        importance=hostile(),
        process=process,
        file=FileInfo(path=hostile(), actions=[hostile()]),
        flow=Flow(ip_version=4, proto=hostile(), remote=Endpoint(address=hostile(), name=hostile(), port=1)),
        background=Background(ancestry=[process]),
        rule=hostile(),
        names=[hostile()],
        note=hostile(),
        attenuator=Attenuator(interpretation=hostile()),
        fields={hostile(): msgspec.Raw(msgspec.json.encode(hostile()))},
    )
    event.timestamp = hostile()
    event.metadata.name = hostile()
    event.metadata.description = hostile()
    event.metadata.attack = Attack(technique=hostile())
    lines = Pretty().render(event).removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    assert len(lines) <= 11
    broken = Pretty(columns=lambda: 40).render(event).split("\n")
    assert all(line.isprintable() for line in broken)
    # Labels begin in the third column: none can be forged by text that is broken in the right place.
    event.metadata.name = event.metadata.description = event.timestamp = ""
    event.metadata.importance, event.metadata.attack, event.fields = "low", None, None
    _headline, *rest = Pretty(columns=lambda: 40).render(event).removesuffix("\n").split("\n")
    labels = {"process", "who", "where", "file", "peer", "rule", "names", "note", "verdict", ""}
    assert labels >= {line[:10].strip() for line in rest}


def test_a_name_that_somebody_made_up_is_told_from_others() -> None:
    def shown(names_from: Literal["resolver", "unlisted"] | None) -> str:
        return _endpoint(Endpoint(address="192.0.2.1", port=443, names=["a.org"], names_from=names_from))

    assert "a.org 192.0.2.1:443" == shown(None) == shown("resolver")
    assert "a.org (unlisted server) 192.0.2.1:443" == shown("unlisted")


def test_an_outcome_shows_its_note() -> None:
    event = Event(
        "01890a5d-ac96-774b-bcce-b302099a8057",
        "2026-01-02T03:04:05Z",
        "outcome",
        Metadata("k", "n", "outcome"),
        note="no room\x1b",
    )
    told = Pretty().render(event)
    assert "note     no room\\x1b" in told
