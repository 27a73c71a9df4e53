"""Policy files: what is read, and what is wrong with the line it is wrong in."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raqib.netpolicy.spec import (
    CidrRule,
    DomainRule,
    PolicySpec,
    Prefix,
    domain_of,
    load_policy,
    policy_from,
    prefix_of,
)

GOOD = """
network_policy:
  cidr_mode: both          # bypass | alert | enforce | both
  cidr_policy: deny
  resolve_mode: enforce
  resolve_policy: deny
  i_know: true
  rules:
    - {cidr: 127.0.0.0/8, policy: allow}
    - {cidr: "2001:db8::/32", policy: deny}
    - {cidr: 192.0.2.1, policy: deny}
    - {domain: Example.COM., policy: deny}
    - domain: bücher.example
      policy: allow
"""


def faults(text: str) -> list[str]:
    spec, diagnostics = policy_from(text, "p.yaml")
    assert spec is None
    return [str(diagnostic) for diagnostic in diagnostics]


def test_everything_that_a_policy_says() -> None:
    expected = PolicySpec(
        cidr_mode="both",
        cidr_policy="deny",
        resolve_mode="enforce",
        resolve_policy="deny",
        i_know=True,
        cidrs=(
            CidrRule(Prefix(b"\x7f\0\0\0", 8), "allow"),
            CidrRule(Prefix(bytes.fromhex("20010db8") + bytes(12), 32), "deny"),
            CidrRule(Prefix(b"\xc0\0\x02\x01", 32), "deny"),
        ),
        domains=(DomainRule("example.com", "deny"), DomainRule("xn--bcher-kva.example", "allow")),
    )
    assert (expected, []) == policy_from(GOOD, "p.yaml")


def test_defaults() -> None:
    assert (PolicySpec(), []) == policy_from("network_policy: {cidr_policy: allow}", "p.yaml")
    assert ("both", "allow", "bypass", "allow") == (
        PolicySpec().cidr_mode,
        PolicySpec().cidr_policy,
        PolicySpec().resolve_mode,
        PolicySpec().resolve_policy,
    )


def test_between_equals_deny() -> None:
    for order in (("allow", "deny"), ("deny", "allow")):
        rules = "".join(
            f"  - {{cidr: 192.0.2.0/24, policy: {name}}}\n  - {{domain: a.test, policy: {name}}}\n" for name in order
        )
        spec, _ = policy_from(f"network_policy:\n  rules:\n{rules}", "p.yaml")
        assert spec is not None
        assert (["deny"], ["deny"]) == (
            [cidr.policy for cidr in spec.cidrs],
            [domain.policy for domain in spec.domains],
        )


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 0, "found an empty file"),
        ("a: [", 2, "expected YAML"),
        ("- 1", 1, "expected a mapping, found a list"),
        ("policy: {}", 1, "expected a known field, found 'policy'; did you mean network_policy?"),
        ("network_policy:\n  mode: both", 2, "it is called cidr_mode"),
        ("network_policy:\n  cidr_mode: drop", 2, "expected bypass or alert or enforce or both, found 'drop'"),
        ("network_policy:\n  rules:\n  - {cidr: 10.0.0.0/8}", 3, "expected policy: allow or deny, found none"),
        ("network_policy:\n  rules:\n  - {policy: deny}", 3, "expected either cidr or domain, found neither"),
        ("network_policy:\n  rules:\n  - {policy: deny, cidr: 1.2.3.4, domain: a.b}", 3, "found both"),
        ("network_policy:\n  rules:\n  - {cidr: 10.0.0.1/8, policy: deny}", 3, "did you mean 10.0.0.0/8?"),
        ("network_policy:\n  rules:\n  - {cidr: 10.0.0.0/33, policy: deny}", 3, "a prefix length from 0 to 32"),
        ("network_policy:\n  rules:\n  - {cidr: 10.0.0, policy: deny}", 3, "expected an address or a network"),
        ("network_policy:\n  rules:\n  - {domain: '*.a.test', policy: deny}", 3, "write 'a.test'"),
        ("network_policy:\n  rules:\n  - {domain: 'a..b', policy: deny}", 3, "expected a domain"),
        ("network_policy:\n  rules:\n  - deny", 3, "expected a mapping, found a string"),
    ],
)
def test_what_is_wrong(text: str, line: int, message: str) -> None:
    found = faults(text)
    assert any(message in item for item in found), found
    if line:
        assert any(item.startswith(f"p.yaml:{line}: ") for item in found), found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cidr_policy: deny", "error: found that everything is denied; add some, or i_know: true if that is meant"),
        ("cidr_policy: deny\nrules: [{cidr: 10.0.0.0/8, policy: deny}]", "error: found that everything is denied"),
        ("cidr_policy: deny\ni_know: true", "warning: found that everything is denied; add some"),
        ("cidr_policy: deny\ncidr_mode: alert", "warning: found that everything is denied"),
        ("cidr_policy: deny\ncidr_mode: bypass", ""),
        ("cidr_policy: deny\nrules: [{cidr: 10.0.0.0/8, policy: allow}]", ""),
        ("cidr_policy: deny\nrules: [{domain: a.example, policy: allow}]", ""),
        ("resolve_policy: deny", ""),
        ("resolve_policy: deny\nresolve_mode: both", "error: found that every name is denied"),
        ("resolve_policy: deny\nresolve_mode: both\nrules: [{cidr: 10.0.0.0/8, policy: allow}]", "error: found that"),
        ("resolve_policy: deny\nresolve_mode: both\nrules: [{domain: a.example, policy: allow}]", ""),
    ],
)
def test_a_policy_that_lets_nothing_pass_is_told(text: str, said: str) -> None:
    spec, diagnostics = policy_from("network_policy:\n  " + text.replace("\n", "\n  "), "p.yaml")
    found = [f"{diagnostic.severity}: {diagnostic.message.partition(', ')[2]}" for diagnostic in diagnostics]
    assert len(found) == bool(said)
    assert not said or found[0].startswith(said)
    assert (spec is None) is said.startswith("error")


def test_a_configuration_says_other_things_too() -> None:
    text = "data_dir: /x\nnetwork_policy: {cidr_policy: deny, i_know: true}"
    assert policy_from(text, "p.yaml")[0] is None
    spec, _ = policy_from(text, "p.yaml", alone=False)
    assert spec is not None
    assert "deny" == spec.cidr_policy


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    spec, diagnostics = load_policy(tmp_path / "none")
    assert spec is None
    assert "expected a file, found none" in str(diagnostics[0])


def test_a_mapped_network_is_ipv4() -> None:
    assert Prefix(b"\x0a\0\0\0", 8) == prefix_of("::ffff:10.0.0.0/104")
    assert Prefix(b"\x0a\0\0\x01", 32) == prefix_of("::ffff:10.0.0.1")
    assert (bytes(10) + b"\xff\xff\x0a\0\0\0", 104) == prefix_of("10.0.0.0/8").mapped


@given(st.ip_addresses(), st.integers(0, 128))
def test_networks_are_those_of_ipaddress(address: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int) -> None:
    length = min(length, address.max_prefixlen)
    network = ipaddress.ip_network((address, length), strict=False)
    mapped = network.version == 6 and network.network_address.packed.startswith(bytes(10) + b"\xff\xff")
    if mapped and length >= 96:
        return
    prefix = prefix_of(str(network))
    assert (network.network_address.packed, length) == (prefix.address, prefix.length)
    assert str(network) == str(prefix)
    assert address.packed in prefix


@given(st.text(max_size=80))
def test_any_text_is_a_domain_or_an_error(text: str) -> None:
    try:
        domain = domain_of(text)
    except ValueError:
        return
    assert domain == domain_of(domain)
    assert domain.isascii()
    assert len(domain) <= 253


@given(st.binary(max_size=300))
def test_any_bytes_are_a_policy_or_diagnostics(text: bytes) -> None:
    spec, diagnostics = policy_from(text, "p.yaml")
    assert (spec is None) == any(diagnostic.severity == "error" for diagnostic in diagnostics)
