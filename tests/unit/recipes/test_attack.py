"""ATT&CK's names and identifiers, and the script that renews their table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from raqib.config.config import RecipesConfig
from raqib.library.library import Library
from raqib.recipes.attack import AttackIdentifiers, resolve
from raqib.recipes.check import _FIELDS
from raqib.recipes.load import load_text

SCRIPT = Path(__file__).parents[3] / "scripts/attack_table.py"
RECIPE = (
    "- {{kind: k, name: n, version: '1', description: d, mechanism: execution, breed: execution, importance: low, {}}}"
)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("execution", "T1059.004", ""), ("TA0002", "T1059", "T1059.004")),
        (("", "t1685.001", ""), (None, "T1685", "T1685.001")),
        (("defense_impairment", "disable_or_modify_tools", ""), ("TA0112", "T1685", None)),
        (("stealth", "Disable or Modify System Firewall", "network_device_firewall"), ("TA0005", "T1686", "T1686.002")),
        # Names of earlier releases.
        (("defense_evasion", "impair_defenses", "disable_or_modify_tools"), ("TA0005", "T1562", "T1562.001")),
        (("TA0005", "T1562.001", ""), ("TA0005", "T1562", "T1562.001")),
        (("", "remote_access_software", ""), (None, "T1219", None)),
        (("", "process_injection", "Process Doppelgänging"), (None, "T1055", "T1055.013")),
    ],
)
def test_names_and_identifiers(names: tuple[str, str, str], found: tuple[str | None, ...]) -> None:
    attack = resolve(*names)
    assert not attack.problems
    assert found == (attack.tactic_id, attack.technique_id, attack.subtechnique_id)


def test_a_sub_technique_that_is_not_known_is_told_where_it_stands() -> None:
    loaded = load_text(RECIPE.format("tactic: impact, technique: T1685.099"), "a.yaml")
    (said,) = loaded.diagnostics
    assert ("warning", "$[0].technique") == (said.severity, said.path)
    assert "expected a sub-technique of T1685, found 'T1685.099'; known are T1685.001, T1685.002," in said.message
    (said,) = load_text(RECIPE.format("tactic: impact, technique: T9999.001"), "a.yaml").diagnostics[-1:]
    assert ("warning", "$[0].technique") == (said.severity, said.path)


WORDS = st.sampled_from(
    ["", "none", "T1059", "T1059.004", "T1685.001", "T1685.999", "T9999", "T9999.001", "TA0002", "execution", "x.004"]
) | st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=12)


@given(WORDS, WORDS, WORDS)
def test_whatever_a_recipe_says_costs_at_most_a_warning(tactic: str, technique: str, subtechnique: str) -> None:
    fields = {"tactic": tactic, "technique": technique, "subtechnique": subtechnique}
    text = RECIPE.format(", ".join(f"{key}: {json.dumps(value)}" for key, value in fields.items() if value))
    loaded = load_text(text, "a.yaml")
    assert not loaded.errors
    assert 1 == len(loaded.recipes)


def pattern(identifier: str, name: str, kind: str = "attack-pattern", **more: Any) -> dict[str, Any]:
    references = [{"source_name": "capec", "external_id": "CAPEC-1"}]
    references.append({"source_name": "mitre-attack", "external_id": identifier})
    return {"type": kind, "name": name, "external_references": references, **more}


def renew(tmp_path: Path, objects: list[dict[str, Any]], before: str = "") -> subprocess.CompletedProcess[str]:
    (tmp_path / "stix.json").write_text(json.dumps({"type": "bundle", "objects": objects}))
    (tmp_path / "attack.txt").write_text(before)
    command: list[str | Path] = [sys.executable, SCRIPT, tmp_path / "stix.json", tmp_path / "attack.txt"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_table_is_renewed_from_a_stix_file(tmp_path: Path) -> None:
    objects = [
        {"type": "x-mitre-collection", "x_mitre_version": "77.1", "modified": "2031-02-03T00:00:00Z"},
        {"type": "malware", "name": "no technique"},
        pattern("T0002.001", "A Part (of it)"),
        pattern("T0002", "Whole"),
        pattern("T0003", "Gone", revoked=True),
        pattern("T0002.002", "Gone part", x_mitre_deprecated=True),
        pattern("TA0001", "A Goal", "x-mitre-tactic"),
        pattern("M1234", "A mitigation of an old form"),
    ]
    before = "# old\nTA0001 former_goal\nT0002 whole\n.001 a_part_of_it\n.007 only_before\nT0009 only_before_too\n"
    done = renew(tmp_path, objects, before)
    assert (0, "MITRE ATT&CK Enterprise 77.1 (2031-02-03)") == (done.returncode, done.stdout.partition(",")[0])
    said = (tmp_path / "attack.txt").read_text()
    assert "© 2031 The MITRE Corporation" in said
    lines = [line for line in said.splitlines() if not line.startswith("#")]
    now = ["TA0001 a_goal", "T0002 whole", ".001 a_part_of_it"]
    then = ["TA0001 former_goal", "T0002 whole", ".002 gone_part", ".007 only_before", "T0003 gone"]
    assert [*now, *then, "T0009 only_before_too"] == lines
    # Made again from the same release, it stays.
    renew(tmp_path, objects, said)
    assert said == (tmp_path / "attack.txt").read_text()


@pytest.mark.parametrize("objects", [[], [pattern("T0001", "x")], [{"type": "x-mitre-collection"}]])
def test_what_is_no_release_leaves_the_table_alone(tmp_path: Path, objects: list[dict[str, Any]]) -> None:
    done = renew(tmp_path, objects, "T0001 kept\n")
    assert 1 == done.returncode
    assert "expected enterprise-attack.json" in done.stderr
    assert "T0001 kept\n" == (tmp_path / "attack.txt").read_text()


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | WORDS
    | st.sampled_from(["react", "any", "open|read", "[", "10m", "T1059", "js", "uid", "irrelevant", "suffix", "/tmp"])
)
NESTED = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3))
FIELDS = (*_FIELDS, "unknown")


@given(
    st.dictionaries(st.sampled_from(FIELDS), NESTED, max_size=6),
    st.sampled_from(["execution", "file_access", "network_peers"]),
)
@settings(max_examples=300, deadline=None)
def test_no_field_of_a_recipe_meets_a_fault(fields: dict[str, Any], mechanism: str) -> None:
    recipe = {"kind": "k", "name": "n", "mechanism": mechanism, "breed": mechanism, "importance": "low", **fields}
    whole = {"kind": "k", "mechanism": "execution", "breed": "execution", "importance": "low", "name": "good"}
    loaded = load_text(yaml.safe_dump([recipe, whole], allow_unicode=False), "a.yaml")
    assert "good" in [loaded_recipe.name for loaded_recipe in loaded.recipes]
    assert not [str(diagnostic) for diagnostic in loaded.diagnostics if "a fault in raqib" in str(diagnostic)]


def test_a_fault_in_raqib_costs_one_recipe_and_its_last_good_version_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        said = RECIPE.format("tactic: impact, technique: T1496")
        (tmp_path / f"{name}.yaml").write_text(said.replace("name: n", f"name: {name}"))
    library = Library(RecipesConfig(directories=(tmp_path,), builtin=False, allow_unsafe_owner=True))
    assert ["a", "b"] == [recipe.name for recipe in library.load().recipes]

    def faulty(tactic: str, *others: str) -> AttackIdentifiers:
        if tactic == "stumble":
            raise KeyError("subtechnique")
        return resolve(tactic, *others)

    monkeypatch.setattr("raqib.recipes.check.resolve", faulty)
    (tmp_path / "a.yaml").write_text((tmp_path / "a.yaml").read_text().replace("impact", "stumble"))
    assert ["a", "b"] == sorted(recipe.name for recipe in library.load().recipes)
    said = "\n".join(map(str, library.diagnostics))
    assert "a.yaml:1: a: $[0]: expected a recipe that can be checked, found a fault in raqib: KeyError" in said
    assert "a: its last good version stays in force" in said
