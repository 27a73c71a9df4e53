from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from raqib.matcher import FlowMatcher, KnownAncestry, Match, prepare
from raqib.matcher.facts import Facts
from raqib.model.excepted import Excepted
from raqib.model.flow import FLOW_ACTION_NAMES, NO_FLOW_ACTIONS, Endpoint, FlowAction, FlowObservation
from raqib.model.process import Image, Process, ProcessKey
from raqib.model.recipe import RecipeInfo
from raqib.recipes import compile_network
from raqib.recipes.compile import CompiledSet, compile_set
from raqib.recipes.load import load_text

NOBODY = KnownAncestry()
CURL = Process(key=ProcessKey(7, 70), image=Image(b"/usr/bin/curl", (b"curl",)))
HEAD = "kind: k, mechanism: network_peers, importance: low"


def compiled(*recipes: str) -> CompiledSet:
    text = "".join(
        f"- {{{HEAD}, name: n{index}, breed: remote_domains, {fields} }}\n" for index, fields in enumerate(recipes)
    )
    loaded = load_text(text, "test.yaml")
    assert not loaded.errors, [str(error) for error in loaded.errors]
    return compile_set(loaded.recipes)


def actions(words: str) -> FlowAction:
    result = NO_FLOW_ACTIONS
    for word in words.split():
        result |= FLOW_ACTION_NAMES[word]
    return result


def flow(
    remote: str = "198.51.100.7:443",
    names: str = "",
    *,
    did: str = "created egress outgoing started",
    new: str | None = None,
    protocol: str = "tcp",
    local: str = "192.0.2.1:40000",
    local_names: str = "",
    process: Process = CURL,
) -> FlowObservation:
    def endpoint(text: str, known: str) -> Endpoint:
        address, _, port = text.rpartition(":")
        return Endpoint(address.strip("[]"), int(port), tuple(known.split()))

    return FlowObservation(
        process=process,
        protocol=protocol,
        ip_version=6 if "[" in remote else 4,
        local=endpoint(local, local_names),
        remote=endpoint(remote, names),
        actions=actions(did),
        new=actions(did if new is None else new),
        timestamp_ns=1000,
    )


def matched(fields: str, seen: FlowObservation) -> bool:
    return bool(FlowMatcher(compiled(fields)).match(seen, NOBODY))


def names(matches: list[Match]) -> list[str]:
    return [match.recipe.name for match in matches]


@pytest.mark.parametrize(
    ("fields", "seen", "expected"),
    [
        ("remote_domains: example.org", flow(names="example.org"), True),
        ("remote_domains: example.org", flow(names="EXAMPLE.org."), True),
        ("remote_domains: example.org", flow(names="www.example.org"), False),
        ("remote_domains: example.org", flow(), False),
        ("remote_domains: example.org", flow(local_names="example.org"), False),
        ("remote_domains: example.org", flow(names="cdn.example.net example.org"), True),
        ("remote_domains: example.org, remote_domains_type: suffix", flow(names="a.b.example.org"), True),
        ("remote_domains: example.org, remote_domains_type: suffix", flow(names="example.org"), True),
        ("remote_domains: example.org, remote_domains_type: suffix", flow(names="badexample.org"), False),
        ("remote_domains: www.example, remote_domains_type: prefix", flow(names="www.example.org"), True),
        ("remote_domains: www.example, remote_domains_type: prefix", flow(names="www.examples.org"), False),
        ("local_domains: example.org", flow(local_names="example.org"), True),
        ("local_domains: example.org", flow(names="example.org"), False),
        ("remote_cidrs: 198.51.100.0/24", flow(), True),
        ("remote_cidrs: 198.51.100.0/25", flow("198.51.100.200:1"), False),
        ("remote_cidrs: 198.51.100.7", flow("[::ffff:198.51.100.7]:1"), True),
        ("remote_cidrs: '2001:db8::/32'", flow("[2001:db8::9]:1"), True),
        ("remote_cidrs: '::/0'", flow(), False),
        ("remote_cidrs: 0.0.0.0/0", flow(), True),
        ("local_cidrs: 192.0.2.0/24", flow(), True),
        ("local_cidrs: 198.51.100.0/24", flow(), False),
        ("remote_port: [80, 443]", flow(), True),
        ("remote_port: 80", flow(), False),
        ("remote_port: 0", flow(), True),
        ("local_port: 40000", flow(), True),
        ("local_port: 443", flow(), False),
        ("protocol: tcp", flow(), True),
        ("protocol: udp|icmp", flow(), False),
        ("protocol: icmp", flow("198.51.100.7:0", protocol="icmp", local="192.0.2.1:0"), True),
        ("protocol: any", flow(protocol="udp"), True),
        ("", flow(), True),
        ("remote_domains: example.org, remote_port: 443, protocol: tcp", flow(names="example.org"), True),
        ("remote_domains: example.org, remote_port: 80", flow(names="example.org"), False),
        ("remote_domains: example.org, remote_cidrs: 10.0.0.0/8", flow(names="example.org"), False),
        ("remote_domains: example.org, protocol: udp", flow(names="example.org"), False),
        ("flow_actions: ingress", flow(), False),
        ("flow_actions: [ingress, egress]", flow(), True),
        ("flow_actions: [ingress, egress], flow_actions_how: all", flow(), False),
        ("flow_actions: [ingress, egress], flow_actions_how: all", flow(did="ingress egress"), True),
        ("flow_actions: any, flow_actions_excl: [created, egress, outgoing, started]", flow(), False),
        ("flow_actions: any, flow_actions_excl: [created, egress, outgoing]", flow(), True),
        ("flow_actions: [egress, ended], flow_actions_how: all, flow_actions_excl: ended", flow(), True),
        ("flow_actions: egress", flow(did="egress ended", new="ended"), False),
        ("flow_actions: [egress, ended], flow_actions_how: all", flow(did="egress ended", new="ended"), True),
    ],
)
def test_fields(fields: str, seen: FlowObservation, expected: bool) -> None:
    assert expected is matched(fields, seen)


@pytest.mark.parametrize("word", FLOW_ACTION_NAMES)
def test_every_flow_action_can_be_asked_for(word: str) -> None:
    others = " ".join(other for other in FLOW_ACTION_NAMES if other != word)
    assert matched(f"flow_actions: {word}", flow(did=word))
    assert not matched(f"flow_actions: {word}", flow(did=others))


def test_what_the_recipes_want_of_the_kernel() -> None:
    wanted = FlowMatcher(compiled("flow_actions: egress", "flow_actions: [ended, started]")).wanted
    assert FlowAction.EGRESS | FlowAction.ENDED | FlowAction.STARTED == wanted
    assert NO_FLOW_ACTIONS == FlowMatcher(compiled()).wanted


def test_one_event_for_a_process_and_a_service() -> None:
    matcher = FlowMatcher(compiled("flow_actions: started"))
    assert ["n0"] == names(matcher.match(flow(), NOBODY))
    assert [] == names(matcher.match(flow(local="192.0.2.1:40001"), NOBODY))
    assert ["n0"] == names(matcher.match(flow("198.51.100.7:80"), NOBODY))
    assert ["n0"] == names(matcher.match(flow("198.51.100.8:443"), NOBODY))
    assert ["n0"] == names(matcher.match(flow(protocol="udp"), NOBODY))
    other = Process(key=ProcessKey(8, 80))
    assert ["n0"] == names(matcher.match(flow(process=other), NOBODY))
    matcher.forget(CURL.key)
    assert ["n0"] == names(matcher.match(flow(), NOBODY))
    assert [] == names(matcher.match(flow(process=other), NOBODY))


def test_of_a_caller_only_the_service_counts() -> None:
    matcher = FlowMatcher(compiled("flow_actions: incoming"))
    caller = [flow(f"198.51.100.7:{port}", local="192.0.2.1:22", did="incoming started") for port in (50001, 50002)]
    assert ["n0"] == names(matcher.match(caller[0], NOBODY))
    assert [] == names(matcher.match(caller[1], NOBODY))


def test_actions_add_up() -> None:
    matcher = FlowMatcher(compiled("flow_actions: [ingress, egress], flow_actions_how: all"))
    assert [] == names(matcher.match(flow(did="egress"), NOBODY))
    assert ["n0"] == names(matcher.match(flow(did="egress ingress", new="ingress"), NOBODY))


def test_limits_and_their_note() -> None:
    matcher = FlowMatcher(compiled("times: [{kind: times_per_exe, max: 2}]"))
    notes = [match.note for port in (1, 2, 3) for match in matcher.match(flow(f"198.51.100.7:{port}"), NOBODY)]
    assert ["", "last one for this executable"] == notes


def test_a_new_set_keeps_what_was_reported() -> None:
    matcher = FlowMatcher(compiled("remote_port: 443"))
    assert ["n0"] == names(matcher.match(flow(), NOBODY))
    matcher.replace(prepare(compiled("remote_port: 443", "protocol: tcp")))
    assert ["n1"] == names(matcher.match(flow(), NOBODY))


@pytest.mark.parametrize(
    ("seen", "because"),
    [
        (flow(names="example.net"), "flow"),
        (flow(names="example.org", did="ingress"), "flow_actions"),
        (flow("198.51.100.9:443", "example.org"), "arbitrary"),
        (flow(names="example.org"), None),
    ],
)
def test_the_stage_that_says_no(seen: FlowObservation, because: str | None) -> None:
    fields = (
        "remote_domains: example.org, flow_actions: started, times: [{kind: times_per_host, max: 1}],"
        " arbitrary: [{items: [{what: remote, which: irrelevant, cidr: 198.51.100.9}]}]"
    )
    matcher = FlowMatcher(compiled(fields))
    assert because == matcher.explain(seen, NOBODY, "n0")
    assert ([] if because else ["n0"]) == names(matcher.match(seen, NOBODY))
    if because is None:
        assert "times" == matcher.explain(seen, NOBODY, "n0")
    assert "flow" == matcher.explain(seen, NOBODY, "no such recipe")


@pytest.mark.parametrize(
    ("item", "seen", "expected"),
    [
        ("what: proto, pattern: ^tcp$", flow(), True),
        ("what: proto, pattern: ^udp$", flow(), False),
        ("what: family, pattern: ^ipv4$", flow(), True),
        ("what: family, pattern: ^ipv6$", flow("[2001:db8::9]:1"), True),
        ("what: remote, cidr: 198.51.100.0/24", flow(), True),
        ("what: remote, cidr: 192.0.2.0/24", flow(), False),
        ("what: remote, cidr: 198.51.100.0/24", flow("[::ffff:198.51.100.7]:1"), True),
        ("what: local, cidr: 192.0.2.0/24", flow(), True),
        ("what: local, cidr: 198.51.100.0/24", flow(), False),
        ("what: any_peers, cidr: 192.0.2.0/24", flow(), True),
        ("what: any_peers, cidr: 198.51.100.0/24", flow(), True),
        ("what: any_peers, cidr: 203.0.113.0/24", flow(), False),
        ("what: remote, cidr: 198.51.100.0/24, when: smaller", flow("198.51.99.255:1"), True),
        ("what: remote, cidr: 198.51.100.0/24, when: smaller", flow("198.51.100.0:1"), False),
        ("what: remote, cidr: 198.51.100.0/24, when: bigger", flow("198.51.101.0:1"), True),
        ("what: remote, cidr: 198.51.100.0/24, when: bigger", flow("198.51.100.255:1"), False),
        ("what: remote, cidr: 198.51.100.0/24, when: bigger", flow("[2001:db8::9]:1"), False),
        ("what: remote, pattern: '^198\\.51\\.'", flow(), True),
        ("what: remote, pattern: 'example\\.org$'", flow(names="www.example.org"), True),
        ("what: remote, pattern: 'example\\.org$'", flow(local_names="www.example.org"), False),
        ("what: local, pattern: 'example\\.org$'", flow(local_names="www.example.org"), True),
        ("what: any_peers, pattern: 'example\\.org$'", flow(local_names="www.example.org"), True),
        ("what: remote_ports, number: 443", flow(), True),
        ("what: remote_ports, numbers: [80, 443]", flow(), True),
        ("what: remote_ports, number: 1024, when: smaller", flow(), True),
        ("what: remote_ports, number: 1024, when: bigger", flow(), False),
        ("what: local_ports, number: 443", flow(), False),
        ("what: local_ports, pattern: '^4'", flow(), True),
        ("what: any_ports, number: 40000", flow(), True),
        ("what: any_ports, number: 443", flow(), True),
        ("what: any_ports, number: 80", flow(), False),
        ("what: any_ports, number: 0", flow("198.51.100.7:0", protocol="icmp", local="192.0.2.1:0"), False),
        ("what: any_peers_and_ports, pattern: '^198\\.51\\.100\\.7:443$'", flow(), True),
        ("what: any_peers_and_ports, pattern: '^192\\.0\\.2\\.1:40000$'", flow(), True),
        ("what: any_peers_and_ports, pattern: '^example\\.org:443$'", flow(names="example.org"), True),
        ("what: any_peers_and_ports, pattern: '^\\[2001:db8::9\\]:1$'", flow("[2001:db8::9]:1"), True),
        ("what: remote_domain_score, number: 90, when: bigger", flow(names="xjwqkzpvbtrhgqdf.com"), True),
        ("what: remote_domain_score, number: 90, when: bigger", flow(names="example.org"), False),
        ("what: remote_domain_score, number: 90, when: bigger", flow(), False),
        ("what: exe, pattern: curl$", flow(), True),
    ],
)
def test_facts(item: str, seen: FlowObservation, expected: bool) -> None:
    assert expected is matched(f"arbitrary: [{{items: [{{{item}}}]}}]", seen)
    assert expected is not matched(f"arbitrary: [{{items: [{{which: irrelevant, {item}}}]}}]", seen)


LABELS = st.sampled_from(["a", "b", "org", "com"])
DOMAINS = st.lists(LABELS, min_size=1, max_size=3).map(".".join)
ADDRESSES = st.integers(0, 15).map("10.0.0.{}".format) | st.integers(0, 15).map("2001:db8::{:x}".format)
PORTS = st.integers(1, 3)
RECIPES = st.fixed_dictionaries(
    {},
    optional={
        "remote_domains": st.lists(DOMAINS, min_size=1, max_size=3),
        "remote_domains_type": st.sampled_from(["exact", "suffix", "prefix"]),
        "local_domains": st.lists(DOMAINS, min_size=1, max_size=2),
        "remote_cidrs": st.lists(ADDRESSES.map(lambda one: one + ("/31" if "." in one else "/127")), min_size=1),
        "local_cidrs": st.lists(ADDRESSES, min_size=1, max_size=2),
        "remote_port": st.lists(PORTS, min_size=1, max_size=2),
        "local_port": st.lists(PORTS, min_size=1, max_size=2),
        "protocol": st.lists(st.sampled_from(["tcp", "udp"]), min_size=1, max_size=2),
    },
)


@pytest.mark.parametrize("long", [0, 4096])
@given(
    recipes=st.lists(RECIPES, max_size=5),
    remote=st.builds(Endpoint, ADDRESSES, PORTS, st.lists(DOMAINS, max_size=2).map(tuple)),
    local=st.builds(Endpoint, ADDRESSES, PORTS, st.lists(DOMAINS, max_size=2).map(tuple)),
    protocol=st.sampled_from(["tcp", "udp", "icmp"]),
)
def test_the_indexes_find_all_that_holds(
    long: int, recipes: list[dict[str, object]], remote: Endpoint, local: Endpoint, protocol: str
) -> None:
    lines = [", ".join(f"{key}: {json.dumps(value)}" for key, value in recipe.items()) for recipe in recipes]
    seen = FlowObservation(CURL, protocol, 4, local, remote, FlowAction.EGRESS, FlowAction.EGRESS, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compile_network, "LONG", long)
        flows = compiled(*lines).flows
    expected = [rule.spec.name for rule in flows.rules if rule.holds(seen)]
    assert expected == [rule.spec.name for rule in flows.candidates(seen)]


def heard(names: str, hearsay: str) -> FlowObservation:
    seen = flow()
    remote = Endpoint(seen.remote.address, 443, (*names.split(), *hearsay.split()), tuple(hearsay.split()), "unlisted")
    return replace(seen, remote=remote)


def test_a_match_by_what_others_made_up_says_so() -> None:
    matcher = FlowMatcher(compiled("remote_domains: [evil.example]"))
    [match] = matcher.match(heard("good.example", "evil.example"), NOBODY)
    assert match.by_hearsay
    matcher = FlowMatcher(compiled("remote_domains: [evil.example]"))
    [match] = matcher.match(heard("evil.example", "good.example"), NOBODY)
    assert not match.by_hearsay


def test_what_others_made_up_keeps_no_recipe_from_matching() -> None:
    unless = "arbitrary: [{items: [{what: remote, which: irrelevant, pattern: good}]}]"
    matcher = FlowMatcher(compiled(f"remote_domains: [evil.example], {unless}"))
    [match] = matcher.match(heard("evil.example", "good.example"), NOBODY)
    assert not match.by_hearsay
    assert [] == matcher.match(heard("good.example", "evil.example"), NOBODY)


def test_names_that_others_made_up_are_no_reason_to_be_quiet() -> None:
    """Who answers questions itself would else be taken for whom an exception is about."""
    quiet = Excepted("12345678", "mine.yaml:1", "our mirror")

    def excepting(recipe: RecipeInfo, facts: Facts) -> Excepted | None:
        return quiet if b"mirror.example" in facts.texts("remote") else None

    def told(seen: FlowObservation) -> list[Excepted | None]:
        matcher = FlowMatcher(compiled("remote_port: 443"))
        matcher.excepting = excepting
        return [match.excepted for match in matcher.match(seen, NOBODY)]

    assert [quiet] == told(heard("mirror.example", ""))
    assert [None] == told(heard("", "mirror.example"))
