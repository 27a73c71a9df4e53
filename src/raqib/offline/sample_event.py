"""Sample events that stand alone, filled in as in the tests of recipes."""

from __future__ import annotations

from raqib.errors import UsageError
from raqib.model.actions import FileAction
from raqib.offline.printed import Document
from raqib.offline.recording import Recorded
from raqib.offline.samples import fill_sample
from raqib.recipes.check_tests import read_sample
from raqib.recipes.load import load_text
from raqib.recipes.spec import RecipeSpec, RecipeTest, SampleEvent

_HEAD = "- {kind: sample, name: sample, version: '1', description: a sample, importance: medium, "
_PLAIN = {
    "flow": "mechanism: network_peers, breed: remote_cidrs, remote_cidrs: [0.0.0.0/0, '::/0']}",
    "file": "mechanism: file_access, breed: file_access, bases: [{base: sample}]}",
    "execution": "mechanism: execution, breed: execution, bases: [{base: sample}]}",
}


def sample_of(document: Document, recipe: RecipeSpec) -> Recorded:
    """Return what a sample stands for, seen by a recipe. Raises UsageError."""
    seen, ancestors = fill_sample(recipe, RecipeTest(name="", event=_read(document), match=True))
    return Recorded(seen, tuple(ancestors))


def plain_recipe(document: Document) -> RecipeSpec:
    """Return a recipe of the mechanism that a sample is about. Raises UsageError."""
    event = _read(document)
    if event.flow.remote.address or event.flow.proto or event.flow.actions:
        about = "flow"
    elif event.file.actions and not event.file.actions & FileAction.EXECVE:
        about = "file"
    else:
        about = "execution"
    (recipe,) = load_text(_HEAD + _PLAIN[about], "sample").recipes
    return recipe


def _read(document: Document) -> SampleEvent:
    event, diagnostics = read_sample(document.text, document.source)
    if event is None:
        told = "".join(f"\n{diagnostic}" for diagnostic in diagnostics)
        raise UsageError(
            f"{document.source}: expected an event as raqib prints it, or a sample event as in tests{told}"
        )
    return event
