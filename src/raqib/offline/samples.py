"""Running the `tests:` of a recipe: each sample event is filled in and goes through a matcher of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from raqib.matcher.ancestry import KnownAncestry
from raqib.matcher.flows import FlowMatcher
from raqib.matcher.matcher import Match, Matcher
from raqib.model.actions import ALL_ACTIONS, FileAction
from raqib.model.flow import FlowObservation
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Process, ProcessKey
from raqib.offline.sample_flow import sample_flow
from raqib.recipes.compile import EXECVE_IMPLIES, CompiledSet
from raqib.recipes.literals import join
from raqib.recipes.spec import Because, RecipeSpec, RecipeTest, SampleEvent, SampleProcess

_BOOT_NS = 1_000_000_000
_DEFAULT_UID = 1000
_DEFAULT_PID = 4000
_DEFAULT_EXE = "/usr/bin/sample"


class SampleResult(NamedTuple):
    """What became of one sample event."""

    recipe: str
    test: str
    passed: bool
    message: str
    """Expected and found, if it failed."""
    matched: bool = False
    because: Because | None = None
    """The stage at which it did not match."""


class Sample(NamedTuple):
    """A sample event that happened once."""

    observation: FileObservation | FlowObservation
    ancestors: Sequence[Process]
    match: Match | None
    because: Because | None
    """The stage at which it did not match."""


def run_tests(spec: RecipeSpec) -> list[SampleResult]:
    """Run all sample events of a recipe, whether it is enabled or not. The calls of its reactions are not judged."""
    return [run_test(spec, test) for test in spec.tests]


def run_test(spec: RecipeSpec, test: RecipeTest) -> SampleResult:
    """Run one sample event; with `repeat`, every time in another process, the last one being judged."""
    *_, last = samples(spec, test)
    matched, because = last.match is not None, last.because
    found = "a match" if matched else f"none, because of {because}"
    if matched != test.match:
        expected = "a match" if test.match else "no match"
        return SampleResult(spec.name, test.name, False, f"expected {expected}, found {found}", matched, because)
    if test.because is not None and because != test.because:
        message = f"expected no match because of {test.because}, found {found}"
        return SampleResult(spec.name, test.name, False, message, matched, because)
    return SampleResult(spec.name, test.name, True, "", matched, because)


def samples(spec: RecipeSpec, test: RecipeTest) -> Iterator[Sample]:
    """Yield every time that the event happens, each in a process of its own, and what the recipe makes of it."""
    compiled = CompiledSet([spec])
    files = Matcher(compiled, clock=lambda: 0.0, offset_ns=lambda: 0)
    flows = FlowMatcher(compiled, clock=lambda: 0.0, offset_ns=lambda: 0)
    for number in range(test.repeat):
        observation, ancestors = fill_sample(spec, test, number)
        ancestry = KnownAncestry(ancestors)
        if isinstance(observation, FlowObservation):
            because = flows.explain(observation, ancestry, spec.name)
            match = next(iter(flows.match(observation, ancestry)), None)
        else:
            because = files.explain(observation, ancestry, spec.name)
            match = next(iter(files.match(observation, ancestry)), None)
        yield Sample(observation, ancestors, match, because)


def fill_sample(
    spec: RecipeSpec, test: RecipeTest, number: int = 0
) -> tuple[FileObservation | FlowObservation, Sequence[Process]]:
    """Return the sample event filled in, and the ancestors of its process, nearest first."""
    if spec.network is not None:
        process, ancestors = _family(test.event, test.event.process.exe or _DEFAULT_EXE, number)
        return sample_flow(spec.network, test.event.flow, process, 2 * _BOOT_NS), ancestors
    return _sample_access(spec, test.event, number)


def _sample_access(spec: RecipeSpec, event: SampleEvent, number: int) -> tuple[FileObservation, Sequence[Process]]:
    actions = event.file.actions or _usual_actions(spec)
    if actions & FileAction.EXECVE:
        actions |= EXECVE_IMPLIES
    executed = bool(actions & FileAction.EXECVE)
    path = event.file.path
    if path is None:
        path = event.process.exe if executed and event.process.exe is not None else _usual_path(spec)
    process, ancestors = _family(event, event.process.exe or (path if executed else _DEFAULT_EXE), number)
    observation = FileObservation(
        process=process,
        path=path.encode(),
        actions=actions,
        new=actions,
        timestamp_ns=2 * _BOOT_NS,
        aliases=tuple(alias.encode() for alias in event.file.aliases),
    )
    return observation, ancestors


def _family(event: SampleEvent, exe: str, number: int) -> tuple[Process, Sequence[Process]]:
    """Return the process, and its ancestors, nearest first."""
    keys = [
        ProcessKey(process.pid or _DEFAULT_PID - distance, _BOOT_NS - distance + number * 1000)
        for distance, process in enumerate((event.process, *event.ancestors))
    ]
    parents = [*keys[1:], ProcessKey(0, 0)]
    ancestors = [
        _process(process, key, parent, process.exe or "")
        for process, key, parent in zip(event.ancestors, keys[1:], parents[1:], strict=True)
    ]
    return _process(event.process, keys[0], parents[0], exe), ancestors


def _usual_actions(spec: RecipeSpec) -> FileAction:
    if spec.mechanism != "file_access":
        return FileAction.EXECVE
    wanted = spec.file.actions if spec.file is not None else ALL_ACTIONS
    without = wanted & ~FileAction.EXECVE
    return without or wanted


def _usual_path(spec: RecipeSpec) -> str:
    """Return a path that the recipe is about, where its first pattern tells."""
    pattern = spec.file.patterns[0] if spec.file and spec.file.patterns else None
    if pattern is None or pattern.regex is not None:
        return "/sample"
    return join(pattern.dir or b"/", pattern.base or b"sample").decode()


def _process(sample: SampleProcess, key: ProcessKey, parent: ProcessKey, exe: str) -> Process:
    base = exe.rpartition("/")[2]
    args = sample.args if sample.args is not None else tuple(itertools.repeat(base, 1 if base else 0))
    previous = None
    if sample.prev_exe is not None:
        previous = Image(sample.prev_exe.encode(), tuple(arg.encode() for arg in sample.prev_args))
    return Process(
        key=key,
        parent=parent,
        ppid=parent.pid,
        uid=_DEFAULT_UID if sample.uid is None else sample.uid,
        comm=base.encode()[:15] if sample.comm is None else sample.comm.encode(),
        image=Image(exe.encode(), tuple(arg.encode() for arg in args)),
        previous=previous,
        exit_status=None if sample.retcode is None else sample.retcode << 8,
        envs=tuple(env.encode() for env in sample.envs),
        user=sample.user,
        cwd=(sample.cwd or "").encode(),
        where=sample.where,
    )
