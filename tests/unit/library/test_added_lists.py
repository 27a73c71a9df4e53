from __future__ import annotations

from pathlib import Path

import pytest

from raqib.config.config import RecipesConfig
from raqib.library.library import Library
from raqib.recipes import fingerprint
from raqib.recipes.spec import DomainList, NetworkList, NetworkPart

HEAD = (
    "- {{kind: k, name: {name}, version: '1', description: d, tactic: impact, technique: resource_hijacking,"
    " mechanism: network_peers, importance: low, "
)


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are not written and read so quickly that a change could be missed: their sizes differ."""
    monkeypatch.setattr(fingerprint, "SETTLED_NS", 0)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "recipes").mkdir()
    names = HEAD.format(name="names") + "breed: remote_domains, remote_domains_type: suffix, remote_domains: a.org}\n"
    nets = HEAD.format(name="nets") + "breed: remote_cidrs, remote_cidrs_file: nets.txt}\n"
    write(tmp_path / "recipes" / "nets.txt", "10.0.0.0/8\n")
    write(tmp_path / "recipes" / "r.yaml", names + nets)
    return tmp_path / "recipes"


def library(directory: Path, **lists: tuple[Path, ...]) -> Library:
    return Library(RecipesConfig(directories=(directory,), builtin=False, allow_unsafe_owner=True, lists=lists))


def part(library: Library, name: str) -> NetworkPart:
    (found,) = [recipe.network for recipe in library.load().recipes if recipe.name == name]
    assert found is not None
    return found


def entries(lists: tuple[DomainList, ...] | tuple[NetworkList, ...]) -> list[int]:
    return [len(entries.entries) for entries in lists]


def told(library: Library) -> str:
    return "\n".join(map(str, library.diagnostics))


def test_lists_are_added_to_what_a_recipe_has(directory: Path, tmp_path: Path) -> None:
    hosts = write(tmp_path / "hosts", "0.0.0.0 bad.example\n0.0.0.0 worse.example\n")
    nets = write(tmp_path / "more", "192.0.2.0/24\n")
    one = library(directory, names=(hosts,), nets=(nets,))
    assert [2] == entries(part(one, "names").remote_domain_lists)
    assert "x.bad.example" in part(one, "names").remote_domain_lists[0].entries
    assert ("a.org",) == part(one, "names").remote_domains
    assert [1, 1] == entries(part(one, "nets").remote_cidr_lists)
    assert "" == told(one)


def test_what_cannot_be_added_is_told(directory: Path, tmp_path: Path) -> None:
    one = library(directory, namse=(tmp_path / "x",), names=(tmp_path / "gone",))
    assert ("a.org",) == part(one, "names").remote_domains
    assert "recipes.lists.namse: expected the name of a recipe, found none of that name; did you mean names?" in told(
        one
    )
    assert "recipes.lists.names" in told(one)
    assert "gone: expected a list that can be read" in told(one)


def test_the_last_good_version_of_an_added_list_stays(directory: Path, tmp_path: Path) -> None:
    hosts = write(tmp_path / "hosts", "bad.example\n")
    one = library(directory, names=(hosts,))
    part(one, "names")
    hosts.unlink()
    assert [1] == entries(part(one, "names").remote_domain_lists)
    assert "its last good version stays in force" in told(one)


def test_lists_take_part_in_reloading(directory: Path, tmp_path: Path) -> None:
    hosts = write(tmp_path / "hosts", "bad.example\n")
    one = library(directory, names=(hosts,))
    before = one.load().recipes
    seen = one.snapshot()
    assert {hosts, directory / "nets.txt"} <= seen.keys()
    assert before == one.load().recipes
    write(hosts, "bad.example\nworse.example\n")
    write(directory / "nets.txt", "10.0.0.0/8\n11.0.0.0/8\n")
    now = one.snapshot()
    assert {hosts, directory / "nets.txt"} == {path for path in now if now[path] != seen[path]}
    assert [2] == entries(part(one, "names").remote_domain_lists)
    assert [2] == entries(part(one, "nets").remote_cidr_lists)


def test_a_recipe_whose_list_is_broken_keeps_its_last_good_version(directory: Path) -> None:
    one = library(directory)
    assert [1] == entries(part(one, "nets").remote_cidr_lists)
    for content in ("nonsense\n", None):
        if content is None:
            (directory / "nets.txt").unlink()
        else:
            write(directory / "nets.txt", content)
        assert [1] == entries(part(one, "nets").remote_cidr_lists)
        assert "its last good version stays in force" in told(one)
    write(directory / "nets.txt", "10.0.0.0/8\n11.0.0.0/8\n")
    assert [2] == entries(part(one, "nets").remote_cidr_lists)
    assert "" == told(one)
