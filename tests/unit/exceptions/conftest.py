"""A process in a unit, and exceptions as text."""

from __future__ import annotations

import textwrap

from raqib.exceptions.compiled import CompiledExceptions
from raqib.exceptions.load import load_text
from raqib.exceptions.rule import ExceptionRule
from raqib.matcher.ancestry import KnownAncestry
from raqib.matcher.facts import Facts
from raqib.model.actions import FileAction
from raqib.model.excepted import Excepted
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Namespaces, Process, ProcessKey
from raqib.model.recipe import RecipeInfo
from raqib.model.where import Where

HOST = 4026531840
RECIPE = RecipeInfo(kind="odd_exec", name="exec_from_tmp", mechanism="execution", importance="high", tactic="execution")
RUNNER = Process(
    ProcessKey(77, 7),
    uid=990,
    comm=b"build",
    image=Image(b"/tmp/build-7/tool", (b"tool", b"--fast")),
    namespaces=Namespaces(mnt_ns=HOST),
    where=Where(unit="ci-runner.service"),
)
PARENT = Process(ProcessKey(50, 5), image=Image(b"/usr/bin/make", (b"make", b"all")))


def rules(text: str) -> tuple[ExceptionRule, ...]:
    loaded = load_text(textwrap.dedent(text), "mine.yaml")
    assert not loaded.failed, [str(diagnostic) for diagnostic in loaded.diagnostics]
    return loaded.rules


def facts(process: Process = RUNNER, path: bytes = b"/tmp/build-7/tool", *, as_given: bool = False) -> Facts:
    seen = FileObservation(process, path, FileAction.EXECVE, FileAction.EXECVE, timestamp_ns=1, as_given=as_given)
    return Facts(process, KnownAncestry([PARENT]), lambda: 0, file=seen)


def covering(
    text: str, about: Facts | None = None, recipe: RecipeInfo = RECIPE, host: int = HOST, now_s: float = 0.0
) -> Excepted | None:
    compiled = CompiledExceptions(rules(text), host, lambda: now_s)
    found = compiled.covering(recipe, facts() if about is None else about)
    return None if found is None else found.told


def covers(when: str, about: Facts | None = None, recipe: str = "exec_from_tmp", host: int = HOST) -> bool:
    return covering(f"- {{recipe: '{recipe}', reason: r, when: [{when}]}}", about, host=host) is not None
