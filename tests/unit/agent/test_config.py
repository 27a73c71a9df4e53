"""Configuration: defaults, types, and clear errors."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

import raqib
from raqib.agent import config as config_module
from raqib.agent.config import Config, load_config
from raqib.agent.settings import map_sizes, reactions_config
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
    settings = reactions_config(config)
    assert (Path("/var/lib/elsewhere"), 3, 7) == (settings.data_dir, settings.workers, settings.kills_per_minute)
    assert 99 == map_sizes(config.sensors)["watched"]


def test_reactions_know_raqibs_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(
        written(tmp_path, "printers: {varlog_path: /var/log/events, varlog_keep: 2}\nlog_file: raqib.log")
    )
    own = reactions_config(config).action_settings().own_paths
    logs = {"/var/log/events", "/var/log/events.1", "/var/log/events.2", f"{tmp_path}/raqib.log"}
    assert logs < set(map(str, own))


def test_reactions_know_what_raqib_is_told_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = """
recipes: {directories: [recipes, /tmp/more.yaml], lists: {some_recipe: [/var/log/list.txt]}}
network: {policy: policy.yaml, pin_dir: /sys/fs/bpf/other}
"""
    config = load_config(path := written(tmp_path, text))
    own = set(map(str, reactions_config(config, path).action_settings().own_paths))
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
    own = reactions_config(load_config(file), file).own_paths
    act.settings = msgspec.structs.replace(act.settings, own_paths=own)
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
        ("printer: {}", "unknown field `printer`; did you mean printers?"),
        ("printers: {enabled: [stdot]}", "Invalid enum value 'stdot' - at `$.printers.enabled[0]`"),
        ("reactions: {workers: 0}", "Expected `int` >= 1 - at `$.reactions.workers`"),
        ("sensors: {cadence_s: soon}", "Expected `float`, got `str` - at `$.sensors.cadence_s`"),
        ("data_dir: 3", "expected a path, got 3"),
        ("- a list", "Expected `object`, got `array`"),
        ("a: [", "expected a YAML file"),
    ],
)
def test_errors_say_where_and_what(tmp_path: Path, text: str, expected: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load_config(path)
    assert str(path) in str(caught.value)
    assert expected.lower().replace(": did", "; did") in str(caught.value).lower()


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected a YAML file"):
        load_config(tmp_path / "none.yaml")


def test_emergency_helpers_need_two_settings(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("{}")
    assert (False, ()) == msgspec.structs.astuple(load_config(path).emergency)
    path.write_text("emergency: {enabled: true, helpers: [Panic]}")
    assert (True, ("Panic",)) == msgspec.structs.astuple(load_config(path).emergency)
    path.write_text("emergency: {enabled: true, helpers: [Reboot]}")
    with pytest.raises(UsageError, match="Reboot"):
        load_config(path)
