"""Configuration: defaults, types, and clear errors."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

import raqib
from raqib.config import config as config_module
from raqib.config.config import Config, load_config
from raqib.config.stages import map_sizes, places_of
from raqib.errors import UsageError
from tests.unit.actions.conftest import Acting, act

__all__ = ["act"]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert Config() == load_config(written(tmp_path, ""))


def test_a_default_file_that_cannot_be_looked_at_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_module, "DEFAULT_PATH", tmp_path / "none.yaml")
    assert Config() == load_config(None)
    monkeypatch.setattr(config_module, "DEFAULT_PATH", tmp_path / ("x" * 300))
    with pytest.raises(UsageError, match="File name too long"):
        load_config(None)


def test_settings_reach_the_stages(tmp_path: Path) -> None:
    config = load_config(
        written(
            tmp_path,
            "data_dir: /var/lib/elsewhere\nreactions: {workers: 3, kills_per_minute: 7}\nsensors: {watched: 99}\n",
        )
    )
    settings, places = config.reactions, places_of(config)
    assert (Path("/var/lib/elsewhere"), 3, 7) == (places.data_dir, settings.worker_count, settings.kills_per_minute)
    assert 99 == map_sizes(config.sensors)["watched"]


def test_reactions_know_raqibs_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(
        written(tmp_path, "printers: {varlog_path: /var/log/events, varlog_keep: 2}\nlog_file: raqib.log")
    )
    own = places_of(config).own_paths
    logs = {"/var/log/events", "/var/log/events.1", "/var/log/events.2", f"{tmp_path}/raqib.log"}
    assert logs < set(map(str, own))


def test_reactions_know_what_raqib_is_told_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = """
recipes: {directories: [recipes, /tmp/more.yaml], lists: {some_recipe: [/var/log/list.txt]}}
network: {policy: policy.yaml, pin_dir: /sys/fs/bpf/other}
"""
    config = load_config(path := written(tmp_path, text))
    own = set(map(str, places_of(config, path).own_paths))
    told_by = {str(path), f"{tmp_path}/recipes", "/tmp/more.yaml", "/var/log/list.txt", f"{tmp_path}/policy.yaml"}
    assert {*told_by, "/sys/fs/bpf/other", "/etc/raqib", str(Path(raqib.__file__).parent)} <= own


def test_no_reaction_writes_what_raqib_is_told_by(act: Acting) -> None:
    """Under any name, also what is not there yet: it would be loaded at once."""
    recipes = act.writable / "recipes"
    recipes.mkdir()
    (recipes / "one.yaml").write_text("recipe")
    (policy := act.writable / "policy.yaml").write_text("policy")
    os.link(policy, act.writable / "another_name")
    file = written(act.writable, f"recipes: {{directories: [{recipes}]}}\nnetwork: {{policy: {policy}}}")
    own = places_of(load_config(file), file).own_paths
    act.places = msgspec.structs.replace(act.places, own_paths=own)
    names = ("recipes/one.yaml", "recipes/new.yaml", "recipes/new/new.yaml", "policy.yaml", "another_name")
    for name in (*names, file.name):
        for helper in ("WriteFile", "AppendFile"):
            assert "refused" == act(helper, str(act.writable / name), "x").decision, name
    assert ["one.yaml"] == [path.name for path in recipes.iterdir()]
    assert "policy" == policy.read_text()
    assert 0 == act("WriteFile", f"{act.writable}/note", "x").value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("printer: {}", ":1: $.printer: expected a known field, found 'printer'; did you mean printers?"),
        # The nearest is one of that section.
        ("recipes:\n  raw: true", ":2: $.recipes.raw: expected a known field, found 'raw'"),
        ("\nrecipes:\n  enabel:\n    - x", ":3: $.recipes.enabel: expected a known field, found 'enabel'; did"),
        ("printers: {enabled: [stdot]}", ":1: $.printers.enabled[0]: expected stdout or varlog or void, found 'stdot'"),
        ("reactions: {workers: 0}", "$.reactions.workers: expected at least 1, found '0'"),
        ("reactions: {workers: many}", "$.reactions.workers: expected a whole number, found 'many'"),
        ("reactions: {workers: [1, 2]}", "$.reactions.workers: expected a number, found a list"),
        ("reactions: {dry_run: maybe}", "$.reactions.dry_run: expected true or false, found 'maybe'"),
        ("reactions: {heap_mib: 64KiB}", "$.reactions.heap_mib: expected whole MiB, found '64KiB'"),
        ("sensors: {cadence_s: soon}", "$.sensors.cadence_s: expected a duration such as 30s, 10m or 1h, found 'soon'"),
        ("sensors: {cadence_s: 0}", "$.sensors.cadence_s: expected more than 0, found '0'"),
        ("sensors: {ring_bytes: -5}", "ring_bytes: expected a size such as 512KiB, 64MiB or 1GiB, found '-5'"),
        ("sensors: {ring_bytes: 0}", "$.sensors.ring_bytes: expected at least 1B, found '0'"),
        ("sensors: 5", "$.sensors: expected a mapping, found a string"),
        ("recipes: {lists: [a]}", "$.recipes.lists: expected a mapping, found a list"),
        ("recipes: {lists: {x: {}}}", "$.recipes.lists.x: expected a path, found a mapping"),
        ("data_dir: 3", ":1: $.data_dir: expected a path, found '3'"),
        ("data_dir: ~nobody-of-that-name/x", "there is no such user"),
        (f"data_dir: ~nobody-of-that-name/{'long/' * 30}end", "long/end': there is no such user"),
        ("- a list", ":1: $: expected a configuration, which is a mapping, found a list"),
        ("a: [", ":2: expected YAML: while parsing a flow node"),
        ("recipes:\n\tbuiltin: true", ":2: expected YAML: "),
        ("printers: {raw: true}\nprinters: {}", ":2: $.printers: expected each key once, found it again"),
        ("emergency: {helpers: [poweroff, Reboot]}", "helpers[1]: expected Panic or PowerOff, found 'Reboot'"),
        ("network: {policy: /p}\nnetwork_policy: {}", ":2: $.network_policy: expected either network_policy or"),
        (b"\xff\xfer\0", ":1: expected UTF-8, found UTF-16; save the file as UTF-8"),
        (b"recipes: {}\n# \xe9", ":2: expected UTF-8, found the byte 0xe9"),
    ],
)  # fmt: skip
def test_errors_say_where_and_what(tmp_path: Path, text: str | bytes, expected: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as caught:
        load_config(path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(str(path))
    assert expected in line


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, "dta_dir: /x\nprinters:\n  raw: 7\nreactions:\n  workers: -1\n  timeout_s: soon\n")
    with pytest.raises(UsageError) as caught:
        load_config(path)
    lines = str(caught.value).splitlines()
    assert [1, 3, 5, 6] == sorted(int(line.removeprefix(f"{path}:").partition(":")[0]) for line in lines)
    assert "did you mean data_dir?" in str(caught.value)


def test_durations_and_sizes_are_written_as_people_do(tmp_path: Path) -> None:
    config = load_config(
        written(
            tmp_path,
            "recipes: {times_window_s: 1h30m}\nprinters: {varlog_max_bytes: 1MiB, max_waiting_bytes: 4096}\n"
            "reactions: {timeout_s: 250ms, heap_mib: 32, max_heap_mib: 1GiB, max_timeout_s: 7.5}\n",
        )
    )
    assert 5400 == config.recipes.times_window_s
    assert (1 << 20, 4096) == (config.printers.varlog_max_bytes, config.printers.max_waiting_bytes)
    reactions = config.reactions
    assert (0.25, 32, 1024) == (reactions.timeout_s, reactions.heap_mib, reactions.max_heap_mib)
    assert 7.5 == reactions.max_timeout_s


def test_whatever_an_editor_left_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xef\xbb\xbfprinters:\r\n  raw: yes\r\n  enabled: varlog\r\nrecipes:\r\nlog_file: ~\r\n")
    config = load_config(path)
    assert (True, ("varlog",)) == (config.printers.raw, config.printers.enabled)
    assert (Config().recipes, None) == (config.recipes, config.log_file)
    path.write_text('{"printers": {"enabled": ["void"], "raw": true}, "data_dir": "/d"}')
    assert (Path("/d"), ("void",)) == (load_config(path).data_dir, load_config(path).printers.enabled)


def test_every_setting_can_be_written_as_its_default(tmp_path: Path) -> None:
    """A new type of setting that the reader does not know would be found here."""
    plain = msgspec.to_builtins(Config(), enc_hook=str)
    path = written(tmp_path, json.dumps(plain))
    assert Config() == load_config(path)


@pytest.mark.parametrize(("kind", "expected"), [("none", "expected a file, found none"), ("directory", "a directory")])
def test_what_is_no_file_is_an_error(tmp_path: Path, kind: str, expected: str) -> None:
    path = tmp_path / "config.yaml"
    if kind == "directory":
        path.mkdir()
    with pytest.raises(UsageError, match=expected):
        load_config(path)


def test_emergency_helpers_need_two_settings(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("{}")
    assert (False, ()) == msgspec.structs.astuple(load_config(path).emergency)
    path.write_text("emergency: {enabled: true, helpers: [Panic]}")
    assert (True, ("Panic",)) == msgspec.structs.astuple(load_config(path).emergency)
    path.write_text("emergency: {enabled: true, helpers: [Reboot]}")
    with pytest.raises(UsageError, match="Reboot"):
        load_config(path)
