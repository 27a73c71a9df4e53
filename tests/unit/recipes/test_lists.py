from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raqib.recipes import fingerprint
from raqib.recipes.diagnostic import Loaded
from raqib.recipes.lists import BadListError, ListCache, Lists
from raqib.recipes.load import load_file
from raqib.recipes.spec import NetworkPart

HEAD = (
    "- {kind: k, name: n, version: '1', description: d, tactic: impact, technique: resource_hijacking,"
    " mechanism: network_peers, importance: low, "
)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def loaded(directory: Path, fields: str) -> Loaded:
    return load_file(write(directory / "r.yaml", HEAD + fields + "}"))


def part(found: Loaded) -> NetworkPart:
    assert not found.diagnostics, [str(diagnostic) for diagnostic in found.diagnostics]
    (recipe,) = found.recipes
    assert recipe.network is not None
    return recipe.network


def test_names_one_a_line(tmp_path: Path) -> None:
    write(
        tmp_path / "names",
        "# a comment\nExample.ORG\n\nno # the country\n0.0.0.0 bad.example worse.example\n::1 localhost\n"
        "*.wild.example\n||filtered.example^\n||filtered2.example^$third-party\r\ntrailing.example.\n",
    )
    fields = "breed: remote_domains, remote_domains_type: suffix, remote_domains_file: names"
    (names,) = part(loaded(tmp_path, fields)).remote_domain_lists
    assert str(tmp_path / "names") == names.path
    assert 8 == len(names.entries)
    for name in ("x.example.org", "no", "bad.example", "worse.example", "a.wild.example", "filtered.example"):
        assert name in names.entries
    assert "filtered2.example" in names.entries
    assert "trailing.example" in names.entries
    assert "localhost" not in names.entries
    assert "example" not in names.entries


def test_networks_one_a_line(tmp_path: Path) -> None:
    write(tmp_path / "nets", "# a comment\n192.0.2.0/24 ; SBL1\n2001:db8::/32\n198.51.100.7 some words\n\n")
    (networks,) = part(loaded(tmp_path, "breed: remote_cidrs, remote_cidrs_file: nets")).remote_cidr_lists
    assert 3 == len(networks.entries)
    assert "192.0.2.200" in networks.entries
    assert "2001:db8::1" in networks.entries
    assert "198.51.100.8" not in networks.entries


def test_several_files_and_absolute_paths(tmp_path: Path) -> None:
    other = write(tmp_path / "other", "b.org\n")
    write(tmp_path / "one", "a.org\n")
    found = part(loaded(tmp_path, f"breed: remote_domains, remote_domains_file: [one, '{other}']"))
    assert [str(tmp_path / "one"), str(other)] == [
        remote_domain_list.path for remote_domain_list in found.remote_domain_lists
    ]


@pytest.mark.parametrize(
    ("content", "fields", "problem"),
    [
        (None, "breed: remote_domains, remote_domains_file: list", "expected a list that can be read: No such file"),
        (None, "breed: remote_cidrs, remote_cidrs_file: list", "expected a list that can be read: No such file"),
        ("10.0.0.0/8\nnonsense\n", "breed: remote_cidrs, remote_cidrs_file: list", "in line 2, found 'nonsense'"),
        ("10.0.0.0/99\n", "breed: remote_cidrs, remote_cidrs_file: list", "in line 1, found '10.0.0.0/99'"),
    ],
)
def test_a_bad_list_costs_its_recipe_only(tmp_path: Path, content: str | None, fields: str, problem: str) -> None:
    if content is not None:
        write(tmp_path / "list", content)
    text = (
        HEAD
        + fields
        + "}\n"
        + HEAD.replace("name: n", "name: other")
        + "breed: remote_cidrs, remote_cidrs: 10.0.0.1}\n"
    )
    found = load_file(write(tmp_path / "r.yaml", text))
    assert ["other"] == [recipe.name for recipe in found.recipes]
    (error,) = found.errors
    assert problem in str(error)
    assert "n: $[0]." in str(error)
    assert "'list'" in str(error)


def test_the_path_of_a_list_is_told_whole(tmp_path: Path) -> None:
    """Its end tells it from others."""
    path = "long/" * 30 + "end"
    found = loaded(tmp_path, f"breed: remote_domains, remote_domains_file: {path}")
    assert f"'{path}'" in str(found.errors[0])


def test_what_is_no_regular_file_blocks_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        found = loaded(tmp_path, f"breed: remote_domains, remote_domains_file: {name}")
        assert "expected a" in str(found.errors[0])


def test_strange_lines_and_empty_lists_are_told(tmp_path: Path) -> None:
    write(tmp_path / "names", "a.org\nhttp://b.org/x\n/banner[0-9]/\n")
    found = loaded(tmp_path, "breed: remote_domains, remote_domains_file: names")
    (warning,) = found.diagnostics
    assert "expected names of hosts, found 2 other entries, the first being 'http://b.org/x'" in str(warning)
    write(tmp_path / "names", "# nothing yet\n")
    found = loaded(tmp_path, "breed: remote_domains, remote_domains_file: names")
    assert "expected entries, found none" in str(found.diagnostics[0])
    (recipe,) = found.recipes
    assert recipe.network is not None
    # A field whose list is empty matches nothing; it must not be taken for a field that is absent.
    assert 1 == len(recipe.network.remote_domain_lists)


def test_a_list_is_read_again_only_if_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "SETTLED_NS", 0)
    path = write(tmp_path / "names", "a.org\n")
    cache = ListCache()
    first = Lists(tmp_path, cache).domains("names", "suffix")
    assert first.entries is Lists(tmp_path, cache).domains(path, "suffix").entries
    assert first.entries is not Lists(tmp_path, cache).domains("names", "exact").entries
    write(path, "a.org\nb.org\n")
    assert 2 == len(Lists(tmp_path, cache).domains("names", "suffix").entries.entries)


def test_a_list_that_was_just_changed_is_looked_at_again(tmp_path: Path) -> None:
    (tmp_path / "names").write_text("a.org\n")
    lists = Lists(tmp_path, ListCache())
    lists.domains("names", "exact")
    assert {tmp_path / "names": None} == lists.used


def test_a_list_that_others_can_write_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "names", "a.org\n")
    lists = Lists(tmp_path, guard=lambda path: f"not {path.name}")
    with pytest.raises(BadListError, match="not names"):
        lists.domains("names", "exact")


@given(st.binary(max_size=200))
def test_any_content_is_a_list_or_an_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    directory = tmp_path_factory.getbasetemp()
    (directory / "any").write_bytes(content)
    Lists(directory).domains("any", "suffix")
    try:
        Lists(directory).networks("any")
    except BadListError as error:
        assert "in line" in str(error)  # noqa: PT017
