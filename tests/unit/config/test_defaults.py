"""Each setting is declared in one place, with its default."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from typing import get_args

import msgspec

import raqib
from raqib.config.config import Config
from raqib.model.execution import Budget

SECTIONS = {type(getattr(Config(), name)) for name in Config.__struct_fields__}
ROOMS = ("raqib.actions", "raqib.config", "raqib.reactions")
SEPARATE = ("raqib.reactions.worker",)
"""Programs of their own, which cannot be imported here."""


def loaded_structs() -> set[type]:
    for module in pkgutil.walk_packages(raqib.__path__, "raqib."):
        if module.name.startswith(ROOMS) and not module.name.startswith(SEPARATE):
            import_module(module.name)
    found, left = set[type](), [msgspec.Struct]
    while left:
        left += (known := left.pop().__subclasses__())
        found.update(known)
    return {item for item in found if item.__module__.startswith(ROOMS)}


def defaults_of(struct: type) -> set[str]:
    """Return the fields with a default that a struct declares itself, not those that it inherits."""
    given = {field.name for field in msgspec.structs.fields(struct) if not field.required}
    return given & set(inspect.get_annotations(struct))


def test_no_default_of_the_reactions_stands_twice() -> None:
    settings = set(type(Config().reactions).__struct_fields__)
    separate = SECTIONS - {type(Config().reactions)}
    places: dict[str, list[str]] = {}
    for struct in loaded_structs() - separate:
        for name in defaults_of(struct) & settings:
            places.setdefault(name, []).append(struct.__qualname__)
    assert settings == set(places)
    assert {} == {name: structs for name, structs in places.items() if len(structs) > 1}


def test_every_budget_of_the_actions_is_a_setting() -> None:
    budgets = {f"{budget}_per_minute" for budget in get_args(Budget)} - {"ledger_bytes_per_minute"}
    assert budgets <= set(Config().reactions.__struct_fields__)
