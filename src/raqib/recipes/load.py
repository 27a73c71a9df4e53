"""Reading recipes from text, files, directories and the package. Never raises for what it reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Final

from raqib.recipes.check import REQUIRED_FIELDS, check_recipe, name_of
from raqib.recipes.diagnostic import Diagnostic, Loaded, source_of
from raqib.recipes.document import Fault, Node, Scalar, is_nothing, parse
from raqib.recipes.document import Mapping as MappingNode
from raqib.recipes.document import Sequence as SequenceNode
from raqib.recipes.lists import Lists
from raqib.recipes.reader import kind_of
from raqib.recipes.source import BadSourceError, read_source
from raqib.recipes.spec import RecipeSpec

__all__ = ["Diagnostic", "Loaded", "combine", "load_builtin", "load_directory", "load_file", "load_text"]

SUFFIXES: Final = (".yaml", ".yml")
MAX_FILE_BYTES: Final = 64 << 20

_INDEX = re.compile(r"\$\[([0-9]+)\]")


def load_text(text: bytes | str, source: str, *, builtin: bool = False, lists: Lists | None = None) -> Loaded:
    """Load a list of recipes; `source` names it in diagnostics and in each recipe.

    `lists` reads the lists that recipes keep in files; by default, relative to the directory of `source`.
    """
    lists = lists or Lists(Path(source).parent)
    root, faults = parse(text)
    if root is None or (isinstance(root, Scalar) and is_nothing(root)):
        return Loaded((), tuple(_fault(fault, source, "") for fault in faults))
    if not isinstance(root, SequenceNode):
        return Loaded((), (Diagnostic("error", source, "", "$", _no_list(root), root.line),))
    by_index: dict[int, list[Fault]] = {}
    for fault in faults:
        found = _INDEX.match(fault.path)
        by_index.setdefault(int(found[1]) if found else -1, []).append(fault)
    recipes: dict[str, RecipeSpec] = {}
    diagnostics: list[Diagnostic] = []
    for index, node in enumerate(root.items):
        path = f"$[{index}]"
        broken = [_fault(fault, source, name_of(node)) for fault in by_index.get(index, ())]
        try:
            spec, said = check_recipe(node, path, source, builtin, lists)
        except Exception as error:
            # A mistake of ours costs this recipe, as if the mistake were in it, and not the agent.
            message = f"expected a recipe that can be checked, found a fault in raqib: {error!r:.200}; please report it"
            spec, said = None, [Diagnostic("error", source, name_of(node), path, message, node.line)]
        diagnostics += broken + said
        if spec is None or broken:
            continue
        if spec.name in recipes:
            message = "expected a name of its own, found one that a recipe above has; this one is left out"
            diagnostics.append(Diagnostic("error", source, spec.name, f"{path}.name", message, node.line))
            continue
        recipes[spec.name] = spec
    return Loaded(tuple(recipes.values()), tuple(diagnostics))


def _no_list(root: Node) -> str:
    expected = f"expected a list of recipes, found {kind_of(root)}"
    keys = root.entries.keys() if isinstance(root, MappingNode) else set()
    if keys & {*REQUIRED_FIELDS}:
        return f"{expected}; begin each recipe with a dash, and indent the lines after it"
    if "network_policy" in keys:
        return f"{expected} with a network policy, which belongs to --policy or the configuration's network.policy"
    return expected


def _fault(fault: Fault, source: str, recipe: str) -> Diagnostic:
    return Diagnostic("error", source, recipe, fault.path, fault.message, fault.line)


def load_file(path: Path, *, builtin: bool = False, lists: Lists | None = None) -> Loaded:
    """Load one file."""
    source = source_of(path)
    try:
        text = read_source(path, MAX_FILE_BYTES)
    except BadSourceError as error:
        return _unreadable(source, str(error))
    return load_text(text, source, builtin=builtin, lists=lists)


def load_directory(path: Path) -> Loaded:
    """Load every `*.yaml` and `*.yml` directly in a directory; by name, the first of two recipes of a name holds."""
    try:
        files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and not file.name.startswith("."))
    except OSError as error:
        return _unreadable(source_of(path), f"expected a readable directory: {error.strerror or error}")
    return combine(Loaded(), [load_file(file) for file in files])


def _unreadable(source: str, message: str) -> Loaded:
    return Loaded((), (Diagnostic("error", source, "", "", message),))


def load_builtin() -> Loaded:
    """Load the recipes that the package brings; they only alert."""
    folder = resources.files("raqib.recipes") / "builtin"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(SUFFIXES)), key=lambda file: file.name)
    with resources.as_file(folder) as directory:
        lists = Lists(directory)
        loaded = [load_text(file.read_bytes(), f"builtin/{file.name}", builtin=True, lists=lists) for file in files]
    return combine(Loaded(), loaded)


def combine(builtin: Loaded, user: Sequence[Loaded]) -> Loaded:
    """Put files together: a user's recipe replaces the built-in of its name, of two users' ones the first holds.

    "First" is by file name, whatever the order in which the files are given.
    """
    recipes = {spec.name: spec for spec in builtin.recipes}
    diagnostics = [*builtin.diagnostics, *(diagnostic for loaded in user for diagnostic in loaded.diagnostics)]
    taken: dict[str, RecipeSpec] = {}
    everything = [spec for loaded in user for spec in loaded.recipes]
    for spec in sorted(everything, key=lambda spec: (Path(spec.info.source).name, spec.info.source)):
        first = taken.setdefault(spec.name, spec)
        if first is not spec:
            message = f"expected a name of its own, found one that {first.info.source} has; this one is left out"
            diagnostics.append(Diagnostic("error", spec.info.source, spec.name, "", message))
    recipes.update(taken)
    return Loaded(tuple(recipes.values()), tuple(diagnostics))
