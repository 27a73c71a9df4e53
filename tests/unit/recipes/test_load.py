from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import raqib.recipes
from raqib.model.actions import ACTION_MACROS, ACTION_NAMES, ALL_ACTIONS, FileAction, union
from raqib.model.flow import FlowAction
from raqib.model.recipe import Limits, Reaction
from raqib.recipes.compile import compile_set
from raqib.recipes.load import Loaded, combine, load_directory, load_file, load_text
from raqib.recipes.spec import Pattern, TimesLimit

HEAD = "kind: k, mechanism: file_access, breed: file_access, importance: low"
SAID = 'version: "1", description: d, tactic: execution, technique: T1059'


def recipe(fields: str = "", name: str = "n") -> str:
    return f"- {{name: {name}, {HEAD}, {SAID}, {fields} }}\n"


def messages(loaded: Loaded) -> list[str]:
    return [str(diagnostic) for diagnostic in loaded.diagnostics]


def only(fields: str) -> Loaded:
    return load_text(recipe(fields), "r.yaml")


def test_everything_that_is_said_arrives() -> None:
    loaded = load_text(
        """
- kind: miner
  name: miner_seen
  enabled: true
  version: 1.10
  description: >
    A miner.
  mechanism: execution
  breed: execution
  tactic: impact
  technique: resource_hijacking
  subtechnique: example
  documentation: none
  importance: critical
  mode: dry_react
  limits: {timeout_s: 1.5, heap_mib: 32}
  file_actions: [execve]
  bases:
    - base: xmrig
    - dir: /opt/miner/
  times:
    - {kind: times_per_proc, max: 1}
    - {kind: times_in_total, max: 5}
  reactions:
    - format: js
      code: |
        function process(data) { KillCurrent(); }
""",
        "miner.yaml",
    )
    assert messages(loaded) == []
    (spec,) = loaded.recipes
    assert (
        spec.info.kind,
        spec.name,
        spec.info.version,
        spec.info.description,
    ) == ("miner", "miner_seen", "1.10", "A miner.")
    assert (spec.info.tactic_id, spec.info.technique_id, spec.info.subtechnique_id) == ("TA0040", "T1496", None)
    assert (
        spec.info.subtechnique,
        spec.info.documentation,
        spec.info.importance,
        spec.info.mode,
    ) == ("", "", "critical", "dry_react")
    assert Limits(timeout_s=1.5, heap_mib=32) == spec.info.limits
    assert (Reaction("js", "function process(data) { KillCurrent(); }\n"),) == spec.info.reactions
    assert (TimesLimit("times_per_proc", 1), TimesLimit("times_per_host", 5)) == spec.times
    assert spec.file is not None
    assert (spec.file.actions, spec.file.all) == (FileAction.EXECVE, False)
    assert (Pattern(b"xmrig"), Pattern(None, b"/opt/miner")) == spec.file.patterns


@pytest.mark.parametrize("name", [*ACTION_NAMES, *ACTION_MACROS])
def test_every_action_and_macro(name: str) -> None:
    loaded = only(f"file_actions: {name}")
    assert messages(loaded) == []
    expected = {**ACTION_NAMES, **ACTION_MACROS}[name]
    assert expected == loaded.recipes[0].file.actions  # type: ignore[union-attr]


OPEN = ("open", "close")
READ = ("read", "llseek", "mmap")
MODIFY = ("create", "link", "write", "truncate", "fsync", "rename", "unlink")
MACROS = {
    "any": list(ACTION_NAMES),
    "open_related": ["open", "close"],
    "read_related": ["read", "llseek", "mmap"],
    "modify_related": ["create", "link", "write", "truncate", "fsync", "rename", "unlink"],
    "access_related": [*OPEN, *READ, *MODIFY],
    "access_no_mmap_related": [*OPEN, "read", "llseek", *MODIFY],
    "tamper_related": ["link", "unlink", "truncate", "rename"],
}


@pytest.mark.parametrize("macro", MACROS)
def test_a_macro_is_what_the_format_says(macro: str) -> None:
    expected = union(ACTION_NAMES[name] for name in MACROS[macro])
    assert expected == only(f"file_actions: {macro}").recipes[0].file.actions  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fields", "actions", "every"),
    [
        ("", ALL_ACTIONS, False),
        ("file_actions:", ALL_ACTIONS, False),
        ("file_actions: open|read", FileAction.OPEN | FileAction.READ, False),
        ("file_actions: [open, read], file_actions_how: all", FileAction.OPEN | FileAction.READ, True),
        ("file_actions: open_related, file_actions_excl: close", FileAction.OPEN, False),
        ("file_actions: [open, write], file_actions_excl: [read_related]", FileAction.OPEN | FileAction.WRITE, False),
        ("file_actions_excl: access_related", FileAction.FASYNC | FileAction.FLOCK | FileAction.EXECVE, False),
        ("file_actions: [open|read, write]", None, False),
    ],
)
def test_file_actions(fields: str, actions: FileAction | None, every: bool) -> None:
    loaded = only(fields)
    if actions is None:
        assert loaded.recipes == ()
        return
    part = loaded.recipes[0].file
    assert part is not None
    assert (actions, every) == (part.actions, part.all)


@pytest.mark.parametrize(
    ("fields", "patterns"),
    [
        ("base: a", (Pattern(b"a"),)),
        ("bases: [{base: a}], dir: /etc", (Pattern(b"a"), Pattern(None, b"/etc"))),
        ("bases: {base: a, regex: 'x|y'}", (Pattern(b"a", None, "x|y"),)),
        ("bases: [{base: no}, {base: 1.10}]", (Pattern(b"no"), Pattern(b"1.10"))),
        ("dir: /", (Pattern(None, b"/"),)),
        ("bases:", ()),
    ],
)
def test_patterns(fields: str, patterns: tuple[Pattern, ...]) -> None:
    loaded = only(fields)
    assert messages(loaded) == []
    assert patterns == loaded.recipes[0].file.patterns  # type: ignore[union-attr]


BROKEN = [
    ("fil_actions: open", "$[0].fil_actions: expected a known field, found 'fil_actions'; did you mean file_actions?"),
    ("file_actions: write_related", "modify_related has create"),
    ("file_actions: opne", "$[0].file_actions: expected a known word, found 'opne'; did you mean open?"),
    ("file_actions: [open, exec]", "$[0].file_actions[1]: expected a known word, found 'exec'; it is called execve"),
    ("file_actions: open, file_actions_excl: open_related", "$[0].file_actions_excl: expected to leave some action"),
    ("bases: [{base: a}, {regex: 'a('}]", "$[0].bases[1].regex: expected an RE2 expression, found 'a('"),
    ("bases: [{regex: '(?=a)'}]", "no look-around"),
    ("bases: [{pattern: a}]", "$[0].bases[0].pattern: expected a known field, found 'pattern'; the expression of"),
    ("bases: [passwd]", "$[0].bases[0]: expected a mapping, found a string"),
    ("bases: [{}]", "$[0].bases[0]: expected base, dir or regex, found none"),
    ("base: {a: b}", "$[0].base: expected a string, found a mapping"),
    ("arbitrary: [{items: [{what: exe, which: contains, pattern: a}]}]", "which: expected pertinent or irrelevant"),
    ("arbitrary: [{items: [{what: ex, pattern: a}]}]", "$[0].arbitrary[0].items[0].what: expected a known word"),
    ("arbitrary: [{items: [{what: exe}]}]", "expected one of pattern, number, numbers, time, cidr, found none"),
    ("arbitrary: [{items: [{what: exe, pattern: a, number: 1}]}]", "found pattern and number"),
    ("arbitrary: [{items: [{what: exe, number: 1}]}]", "expected pattern for exe, found number"),
    ("arbitrary: [{items: [{what: uid, number: x}]}]", "expected a whole number"),
    ("arbitrary: [{items: [{what: start, time: soon}]}]", "(RFC 3339), found 'soon'"),
    ("arbitrary: [{items: [{what: start, time: '2026-01-01T00:00:00'}]}]", "(RFC 3339)"),
    ("arbitrary: [{items: [{what: remote, cidr: 10.0.0.0/99}]}]", "expected an address or a network"),
    ("arbitrary: [{items: [{what: exe, pattern: a}, {what: exe, pattern: b}]}]", "expected how: AND or how: OR"),
    ("times: [{kind: times_per_pid, max: 1}]", "found 'times_per_pid'; did you mean times_per_"),
    ("times: [{kind: times_per_proc}]", "$[0].times[0]: expected max, found none"),
    ("times: [{kind: times_per_proc, max: 0}]", "expected a whole number from 1"),
    ("reactions: [{format: python, code: x}]", "$[0].reactions[0].format: expected js or shell, found 'python'"),
    ("reactions: [{format: js}]", "$[0].reactions[0]: expected code, found none"),
    ("reactions: [{format: js, code: '  '}]", "$[0].reactions[0].code: expected code, found only blanks"),
    ("mode: on", "$[0].mode: expected off or shadow or alert or dry_react or react"),
    ("limits: {timeout: 3}", "did you mean timeout_s?"),
    ("limits: {timeout_s: -1}", "$[0].limits.timeout_s: expected a duration such as 30s, 10m or 1h, found '-1'"),
    ("limits: {timeout_s: 2h}", "$[0].limits.timeout_s: expected more than 0 and at most 1h, found '2h'"),
    ("limits: {timeout_s: [1]}", "$[0].limits.timeout_s: expected a duration, found a list"),
    (
        "limits: {heap_mib: 1KiB}",
        "$[0].limits.heap_mib: expected whole MiB, at least 1 and at most 65536",
    ),
    ("limits: {heap_mib: 0}", "$[0].limits.heap_mib: expected whole MiB, at least 1"),
    ("limits: {heap_mib: much}", "$[0].limits.heap_mib: expected a size such as"),
    ("enabled: maybe", "expected true or false, found 'maybe'"),
    ("remote_domains: a.org", "$[0].remote_domains: expected no remote_domains beside mechanism file_access"),
    ("tests: [{event: {}}]", "$[0].tests[0]: expected expect"),
    ("tests: [{expect: {match: no, because: luck}}]", "expected bases or"),
    ("tests: [{expect: {match: yes, because: bases}}]", "expected because only beside match: false"),
    ("base: a, base: b", "$[0].base: expected each key once, found it again"),
    ("base: *nothing", "$[0].base: expected an anchor before its alias, found *nothing"),
]


@pytest.mark.parametrize(("fields", "expected"), BROKEN)
def test_what_is_wrong_is_named_and_costs_only_its_recipe(fields: str, expected: str) -> None:
    broken = only(fields)
    assert broken.recipes == ()
    assert any(expected in message for message in messages(broken)), messages(broken)
    if "expected YAML" not in expected:
        both = load_text(recipe("base: z", "good") + recipe(fields), "r.yaml")
        assert [spec.name for spec in both.recipes] == ["good"]
        assert {"n"} == {diagnostic.recipe for diagnostic in both.diagnostics}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            "arbitrary: [{which: irrelevant, items: [{what: exe, which: irrelevant, pattern: a}]}]",
            "never lets an event",
        ),
        ("arbitrary: [{which: pertinent, items: []}]", "changes nothing"),
        ("base: a/b", "this never matches"),
        ("dir: etc", "this never matches"),
        ("subtechnique: unix_shel", "$[0].subtechnique: expected a sub-technique of T1059, found 'unix_shel'; did you"),
        ("arbitrary: [{items: [{what: exe, pattern: a, when: equal}]}]", "it does nothing to pattern"),
    ],
)
def test_warnings_disable_nothing(fields: str, expected: str) -> None:
    loaded = only(fields)
    assert len(loaded.recipes) == 1
    assert any(expected in message for message in messages(loaded)), messages(loaded)


@pytest.mark.parametrize("missing", ["kind", "mechanism", "breed", "importance"])
def test_required_fields(missing: str) -> None:
    fields = ", ".join(part for part in HEAD.split(", ") if not part.startswith(missing))
    loaded = load_text(f"- {{name: n, {fields}, {SAID}}}", "r.yaml")
    assert [f"r.yaml:1: n: $[0]: expected {missing}, found none"] == messages(loaded)


def test_fields_that_are_expected_are_missed_with_a_warning() -> None:
    loaded = load_text(f"- {{name: n, {HEAD}}}", "r.yaml")
    assert [diagnostic.severity for diagnostic in loaded.diagnostics] == ["warning"] * 4
    assert len(loaded.recipes) == 1


def test_a_network_recipe_is_checked() -> None:
    head = "- {kind: k, name: n, mechanism: network_peers, breed: remote_ips, importance: low, " + SAID
    loaded = load_text(
        head
        + ", protocol: tcp|udp , remote_port: 443|80, remote_cidrs: [10.1.2.3/8, '::1'], remote_domains: [no, A.org.],"
        " remote_domains_trie_type: suffix, flow_actions: [egress, started], flow_actions_excl: started}",
        "r.yaml",
    )
    assert messages(loaded) == []
    part = loaded.recipes[0].network
    assert part is not None
    assert (part.protocols, part.remote_ports) == (("tcp", "udp"), (443, 80))
    assert (
        part.remote_cidrs,
        part.remote_domains,
        part.remote_domains_type,
    ) == (("10.0.0.0/8", "::1/128"), ("no", "a.org"), "suffix")
    assert part.flow_actions == FlowAction.EGRESS
    for wrong, expected in [
        ("remote_cidrs: 1.2.3.4.5", "expected an address"),
        ("remote_port: 70000", "from 0 to 65535"),
        ("file_actions: open", "expected no file_actions beside mechanism network_peers"),
        ("remote_domains: 'a b'", "expected a domain name"),
        ("remote_domains: '*.example.org'", "all below a name is meant by the type suffix"),
    ]:
        assert any(expected in message for message in messages(load_text(head + ", " + wrong + "}", "r.yaml")))


def test_aliases_are_few_and_small() -> None:
    assert len(load_text(recipe("bases: [&a {base: x}, *a]"), "r.yaml").recipes) == 1
    many = only("bases: [&a {base: x}, " + ", ".join(["*a"] * 17) + "]")
    assert many.recipes == ()
    assert any("expected at most 16 aliases" in message for message in messages(many))
    bomb = "".join(f"- &x{level} [{', '.join([f'*x{level - 1}'] * 16)}]\n" for level in range(1, 30))
    assert load_text("- &x0 [a, b, c]\n" + bomb, "r.yaml").recipes == ()


def test_deep_nesting_is_an_error() -> None:
    for text in ("[" * 100_000, "{a: " * 100_000, "- " * 100_000):
        loaded = load_text(text, "r.yaml")
        assert messages(loaded) == ["r.yaml:1: expected at most 32 levels of nesting, found more"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"\xff\xfe", "r.yaml:1: expected UTF-8, found UTF-16; save the file as UTF-8"),
        ("a: 1", "r.yaml:1: $: expected a list of recipes"),
        ("- a: [", "expected YAML"),
        ("- a\n---\n- b", "expected one document"),
        ("\ud800", "lone surrogate"),
        ("- \x00", "expected YAML"),
        ("- x", "expected a mapping, found a string"),
        ("- {[a]: b}", "expected a word as key"),
    ],
)
def test_files_that_are_no_recipes(text: str | bytes, expected: str) -> None:
    loaded = load_text(text, "r.yaml")
    assert loaded.recipes == ()
    assert any(expected in message for message in messages(loaded)), messages(loaded)


@pytest.mark.parametrize("text", ["", "# only a comment", "---\n", "null", "[]"])
def test_a_file_without_recipes_is_fine(text: str) -> None:
    assert Loaded() == load_text(text, "r.yaml")


def test_messages_carry_no_control_characters() -> None:
    loaded = load_text('- {"a\\e[31m\\nb": 1, name: "x\\ny", importance: "\\e[0m"}', "r.yaml")
    assert loaded.diagnostics
    assert not [message for message in messages(loaded) if "\x1b" in message or "\n" in message]


WORDS = st.sampled_from(
    ["kind", "name", "bases", "base", "regex", "arbitrary", "items", "what", "exe", "uid", "number", "numbers", "time",
     "times", "max", "tests", "event", "expect", "process", "args", "file", "actions", "open", "a|b", "", "~", "limits",
     "timeout_s", "calls", "flow", "remote_cidrs", "mechanism", "execution", "network_peers", "importance", "low", "-1",
     "cidr", "::/0", "breed", "remote_domains", "reactions", "code", "format", "2026-01-01T00:00:00Z", "\ufffd", "<<",
     "9999-12-31T23:59:59-23:59", "nan", "1e999", "٣"]
) | st.text(max_size=4)  # fmt: skip
TREES = st.recursive(
    WORDS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5), max_leaves=25
)


@given(st.lists(st.dictionaries(WORDS, TREES, max_size=12), min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_no_tree_is_too_strange(tree: object) -> None:
    for diagnostic in load_text(json.dumps(tree, ensure_ascii=False), "r.yaml").diagnostics:
        assert str(diagnostic).isprintable() or not str(diagnostic).isascii()


@given(st.binary(max_size=60) | st.text(alphabet="-[]{}:,&*!|>'\"%@ab\n\t ?#", max_size=60))
@settings(max_examples=600, deadline=None)
def test_no_text_is_too_strange(text: bytes | str) -> None:
    load_text(text, "r.yaml")


PACKAGED = [path.read_text() for path in sorted((Path(raqib.recipes.__file__).parent / "builtin").glob("*.yaml"))]
LINES = [line for text in PACKAGED for line in text.splitlines()]
SCRAPS = st.sampled_from(
    ["&a ", "*a ", "!!binary x", "<<: *a", "- ", "? ", "{", "]", "|", "\t", "\x00", "'", "%YAML 9"]
)


@given(st.sampled_from(PACKAGED), st.data())
@settings(max_examples=60)
def test_no_document_is_too_damaged(text: str, data: st.DataObject) -> None:
    recipes = text.split("\n- kind:")
    lines = ("- kind:" + data.draw(st.sampled_from(recipes[1:]))).splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["drop", "indent", "insert", "scrap", "value"])):
            case "drop" if len(lines) > 1:
                del lines[at]
            case "indent":
                lines[at] = " " * data.draw(st.integers(0, 9)) + lines[at].lstrip()
            case "insert":
                lines.insert(at, data.draw(st.sampled_from(LINES)))
            case "scrap":
                cut = data.draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:cut] + data.draw(SCRAPS) + lines[at][cut:]
            case _:
                lines[at] = lines[at].partition(":")[0] + ": " + data.draw(WORDS)
    loaded = load_text("\n".join(lines), "r.yaml")
    assert loaded.recipes or loaded.diagnostics
    compile_set(loaded.recipes).interest(b"/etc/shadow")


def test_directory(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(recipe("base: b", "one") + recipe("base: b", "two"))
    (tmp_path / "a.yml").write_text(recipe("base: a", "one"))
    (tmp_path / "c.txt").write_text(recipe("", "three"))
    (tmp_path / ".d.yaml").write_text(recipe("", "four"))
    (tmp_path / "e.yaml").mkdir()
    loaded = load_directory(tmp_path)
    bases = {spec.name: spec.file.patterns[0].base for spec in loaded.recipes if spec.file}
    assert bases == {"one": b"a", "two": b"b"}
    said = messages(loaded)
    assert f"{tmp_path}/b.yaml: one: expected a name of its own, found one that {tmp_path}/a.yml has" in said[-1]
    assert f"{tmp_path}/e.yaml: expected a regular file, found a directory" == said[0]
    assert len(said) == 2


def test_what_is_not_there(tmp_path: Path) -> None:
    assert "expected a readable directory" in messages(load_directory(tmp_path / "x"))[0]
    assert "expected a file, found none" in messages(load_file(tmp_path / "x.yaml"))[0]


def test_a_name_twice_in_a_file() -> None:
    loaded = load_text(recipe("base: a") + recipe("base: b"), "r.yaml")
    assert [spec.file.patterns[0].base for spec in loaded.recipes if spec.file] == [b"a"]
    assert "r.yaml:2: n: $[1].name: expected a name of its own" in messages(loaded)[0]


def test_a_users_recipe_replaces_the_builtin_of_its_name() -> None:
    builtin = load_text(recipe("base: a", "one") + recipe("base: a", "two"), "builtin/x.yaml", builtin=True)
    user = load_text(recipe("enabled: false", "two"), "/etc/r/z.yaml")
    combined = combine(builtin, [user])
    assert {spec.name: (spec.info.builtin, spec.enabled) for spec in combined.recipes} == {
        "one": (True, True),
        "two": (False, False),
    }
    assert {"alert", "react"} == {spec.info.mode for spec in combined.recipes}


def test_between_users_files_the_first_by_name_holds() -> None:
    late = load_text(recipe("base: late"), "/a/20.yaml")
    early = load_text(recipe("base: early"), "/b/10.yaml")
    combined = combine(Loaded(), [late, early])
    assert [spec.file.patterns[0].base for spec in combined.recipes if spec.file] == [b"early"]
    assert [diagnostic.source for diagnostic in combined.diagnostics] == ["/a/20.yaml"]


def test_limits_are_written_as_people_do() -> None:
    text = "- {kind: k, name: n, mechanism: execution, breed: execution, importance: low, limits: LIMITS}"
    for limits in ("{timeout_s: 90, heap_mib: 32}", "{timeout_s: 1m30s, heap_mib: 32MiB}"):
        (spec,) = load_text(text.replace("LIMITS", limits), "a.yaml").recipes
        assert Limits(timeout_s=90, heap_mib=32) == spec.info.limits
