"""What a file of exceptions says, and what is said of one that is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from raqib.exceptions.load import load_file, load_text
from tests.unit.exceptions.conftest import rules


def test_all_of_it_is_read() -> None:
    [rule] = rules(r"""
        - recipe: exec_from_unusual_dir
          when:
            - {what: unit, pattern: ^ci-runner\.service$}
            - {what: path, pattern: ^/tmp/build-}
          reason: the runner unpacks here
          until: 2027-01-31
    """)
    assert ("exec_from_unusual_dir", "the runner unpacks here") == (rule.recipe, rule.reason)
    assert [("unit", r"^ci-runner\.service$"), ("path", "^/tmp/build-")] == [
        (item.what, item.pattern) for item in rule.when
    ]
    assert datetime(2027, 2, 1, tzinfo=UTC).timestamp() == rule.until_s
    assert ("mine.yaml", 2) == (rule.source, rule.line)


def test_its_name_stays_while_it_says_the_same() -> None:
    one, other, third = (
        rules(f"- {{recipe: a, when: [{{what: unit, pattern: {unit}}}], reason: {reason}}}")[0]
        for unit, reason in (("x", "first"), ("x", "second"), ("y", "first"))
    )
    assert one.id == other.id != third.id


WRONG = [
    ("- {when: [], reason: r}", "expected recipe: a name or pattern, or kind:… or tactic:…, found none"),
    ("- {recipe: a}", "expected reason: why this is normal here, found none"),
    ("- {recipe: a, reason: ' '}", "expected reason: why this is normal here, found none"),
    ("- {recipe: a, reason: r, wen: []}", "expected a known field, found 'wen'; did you mean when?"),
    ("- {recipe: 'knd:a', reason: r}", "did you mean kind?"),
    ("- {recipe: 'kind:', reason: r}", "expected a pattern after the colon"),
    ("- {recipe: a, reason: r, when: unit}", "expected a list of items"),
    ("- {recipe: a, reason: r, when: [{what: unt, pattern: x}]}", "did you mean unit?"),
    ("- {recipe: a, reason: r, when: [{what: unit, pattern: '('}]}", "expected an RE2 expression"),
    ("- {recipe: a, reason: r, until: 2027-02-30}", "expected a date as 2027-01-31"),
    ("- {recipe: a, reason: r, until: '2027-02-01T10:00:00'}", "expected a date as 2027-01-31"),
    ("recipe: a", "expected a list of exceptions, found a mapping; begin each with a dash"),
    ("- {recipe: a, recipe: b, reason: r}", "recipe"),
    ("- {kind: a, reason: r}", "write recipe: kind:NAME"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_wrong_is_told_with_its_place(text: str, said: str) -> None:
    loaded = load_text(text, "mine.yaml")
    assert () == loaded.rules
    assert any(
        said in str(diagnostic) and str(diagnostic).startswith("mine.yaml:1") for diagnostic in loaded.diagnostics
    )


def test_with_one_error_there_is_nothing_of_the_file() -> None:
    loaded = load_text("- {recipe: a, reason: r}\n- {recipe: b}\n", "mine.yaml")
    assert () == loaded.rules
    assert loaded.failed


def test_what_others_can_write_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("- {recipe: a, reason: r}\n")
    file.chmod(0o666)
    assert () == load_file(file, allow_unsafe_owner=False).rules
    assert 1 == len(load_file(file, allow_unsafe_owner=True).rules)


def test_an_empty_file_is_nothing_wrong() -> None:
    assert not load_text("# nothing yet\n", "mine.yaml").failed
