from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raqib.recipes import networks
from raqib.recipes.networks import DomainMatch, DomainSet, NetworkSet, list_entries

LABELS = st.sampled_from(["a", "b", "c", "com", "aa", "B"])
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)


def naive_domain(names: list[str], match: DomainMatch, name: str) -> bool:
    wanted = name.lower().split(".")
    for entry in names:
        labels = entry.lower().split(".")
        part = {
            "exact": wanted,
            "suffix": wanted[len(wanted) - len(labels) :] if len(labels) <= len(wanted) else [],
            "prefix": wanted[: len(labels)],
        }[match]
        if part == labels:
            return True
    return False


@pytest.mark.parametrize("match", ["exact", "suffix", "prefix"])
@pytest.mark.parametrize("large", [1, 1 << 16])
@given(names=st.lists(NAMES, max_size=6), name=NAMES)
def test_domains_are_matched_by_whole_labels(large: int, match: DomainMatch, names: list[str], name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "_LARGE", large)
        patch.setattr(networks, "_SLOTS_BITS", 4)
        found = DomainSet(names, match)
        assert naive_domain(names, match, name) is (name in found)
        assert (name in found) is (name.upper() + "." in found)


ADDRESSES = st.integers(0, 0xFF).map(lambda low: f"10.{low & 3}.{low >> 2 & 3}.{low}") | st.integers(0, 0xFF).map(
    lambda low: f"2001:db8::{low:x}"
)
CIDRS = st.tuples(ADDRESSES, st.integers(0, 32)).map("{0[0]}/{0[1]}".format) | ADDRESSES


@pytest.mark.parametrize("large", [1, 1 << 16])
@given(cidrs=st.lists(CIDRS, max_size=6), address=ADDRESSES)
def test_the_longest_prefix_is_found(large: int, cidrs: list[str], address: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "_LARGE", large)
        patch.setattr(networks, "_SLOTS_BITS", 4)
        found = NetworkSet(cidrs)
    one = ipaddress.ip_address(address)
    lengths = [net.prefixlen for net in (ipaddress.ip_network(cidr, strict=False) for cidr in cidrs) if one in net]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "_SLOTS_BITS", 4)
        assert max(lengths, default=None) == found.longest(address)


def test_the_mapped_form_of_an_address_is_the_address() -> None:
    assert "::ffff:10.1.2.3" in NetworkSet(["10.0.0.0/8"])


@pytest.mark.parametrize("cidr", ["1.2.3", "1.2.3.4/33", "01.2.3.4", "a.b.c.d", "", "1.2.3.4/ 8"])
def test_what_is_no_network(cidr: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        NetworkSet([cidr])


@pytest.mark.parametrize("address", ["", "x", "1.2.3", "10.1.2.3/8"])
def test_what_is_no_address_is_in_no_set(address: str) -> None:
    assert address not in NetworkSet(["0.0.0.0/0", "::/0"])


def test_lists_in_the_forms_in_which_they_come() -> None:
    lines = [
        "# a comment\n",
        "\n",
        "example.org\n",
        "0.0.0.0 ads.example.org tracker.example.org # two names\n",
        "127.0.0.1\tlocalhost\n",
        "::1 ip6-localhost\r\n",
        "10.1.0.0/16 ; a network\n",
        "192.0.2.9 bad.example.net\n",
    ]
    expected = ["example.org", "ads.example.org", "tracker.example.org", "10.1.0.0/16", "bad.example.net"]
    assert expected == list(list_entries(lines))


def test_names_with_special_letters_are_compared_as_dns_has_them() -> None:
    found = DomainSet(["bücher.example", "BÜCHER.example2."], "suffix")
    assert "www.xn--bcher-kva.example" in found
    assert "xn--bcher-kva.example2" in found
    assert "bucher.example" not in found
