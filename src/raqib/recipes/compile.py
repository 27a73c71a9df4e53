"""Checked recipes become one set that answers quickly, however many they are.

Two questions are asked of it: which recipes' patterns a name satisfies (`candidates`), and which actions on a name
could matter to any of them (`interest`). Both look the name up by its whole, its last component, its directory and
the directories above it; expressions are searched together, all in one pass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import reduce
from operator import or_
from typing import NamedTuple

from raqib.model.actions import FileAction
from raqib.recipes.compile_network import CompiledFlows
from raqib.recipes.literals import LiteralKind, join, pattern_literals
from raqib.recipes.regex import ExpressionSet, subject
from raqib.recipes.spec import Pattern, RecipeSpec

EXECVE_IMPLIES = FileAction.OPEN | FileAction.READ | FileAction.MMAP | FileAction.CLOSE | FileAction.EXECVE
"""What an execve counts as, for the program."""


class Literal(NamedTuple):
    """What the kernel tests: names of which the value is the whole, the last component, the directory, or above it."""

    kind: LiteralKind
    value: bytes
    actions: FileAction


class Rule:
    """A recipe about files, prepared."""

    __slots__ = ("_all", "_needs_execve", "actions", "index", "spec", "wanted")

    def __init__(self, index: int, spec: RecipeSpec) -> None:
        if spec.file is None:
            raise ValueError(f"expected a recipe about files, found {spec.name}: {spec.mechanism}")
        self.index = index
        self.spec = spec
        self.actions = int(spec.file.actions)
        self._all = spec.file.all
        self._needs_execve = spec.mechanism in ("execution", "env_vars")
        self.wanted = self._wanted()
        """The actions whose coming can make the recipe match."""

    def _wanted(self) -> int:
        if not self._needs_execve:
            return self.actions
        others = self.actions & ~int(EXECVE_IMPLIES)
        if not self._all and others != self.actions:
            return int(FileAction.EXECVE)
        return others | int(FileAction.EXECVE)

    def completing_sets(self) -> list[int]:
        """Return sets of actions: unless all of one of them were done, the recipe does not match."""
        if self._all:
            return [self.wanted]
        return [1 << bit for bit in range(self.wanted.bit_length()) if self.wanted >> bit & 1]

    def satisfied_by(self, actions: int) -> bool:
        """Tell whether all that a process did to a file is enough."""
        if self._needs_execve and not actions & FileAction.EXECVE:
            return False
        return actions & self.actions == self.actions if self._all else actions & self.actions != 0


class _Expressions:
    """Expressions that are searched in the same text, and whose they are."""

    def __init__(self, entries: list[tuple[str, bytes | None, int]]) -> None:
        sources = sorted({source for source, _, _ in entries})
        position = {source: index for index, source in enumerate(sources)}
        self._set = ExpressionSet(sources)
        self._owners: list[list[tuple[bytes | None, int]]] = [[] for _ in sources]
        for source, base, rule in entries:
            self._owners[position[source]].append((base, rule))

    def found_in(self, text: bytes, base: bytes) -> Iterator[int]:
        for position in self._set.found_in(text):
            for wanted, rule in self._owners[position]:
                if wanted is None or wanted == base:
                    yield rule


_Entries = defaultdict[bytes, list[tuple[str, bytes | None, int]]]


class CompiledSet:
    """All enabled recipes, indexed. Immutable; a reload makes a new one."""

    def __init__(self, specs: Iterable[RecipeSpec]) -> None:
        self.recipes: tuple[RecipeSpec, ...] = tuple(specs)
        """Those that are enabled and not off, of every mechanism."""
        files = (spec for spec in self.recipes if spec.file is not None)
        self.rules: tuple[Rule, ...] = tuple(Rule(index, spec) for index, spec in enumerate(files))
        """Those about files."""
        self.flows = CompiledFlows(self.recipes)
        """Those about flows."""
        self._exact: dict[bytes, list[int]] = defaultdict(list)
        self._base: dict[bytes, list[int]] = defaultdict(list)
        self._dir: dict[bytes, list[int]] = defaultdict(list)
        self._any_file: list[int] = []
        below: _Entries = defaultdict(list)
        named: _Entries = defaultdict(list)
        anywhere: list[tuple[str, bytes | None, int]] = []
        literals: dict[tuple[LiteralKind, bytes], int] = defaultdict(int)
        residual = 0
        residual_sets: set[int] = set()
        for rule in self.rules:
            for pattern in _patterns(rule.spec):
                self._index(rule.index, pattern, below, named, anywhere)
                found = pattern_literals(pattern)
                if found is None:
                    residual |= rule.wanted
                    residual_sets.update(rule.completing_sets())
                for literal in found or ():
                    literals[literal] |= rule.wanted
        self._below = {directory: _Expressions(entries) for directory, entries in below.items()}
        self._named = {base: _Expressions(entries) for base, entries in named.items()}
        self._anywhere = _Expressions(anywhere) if anywhere else None
        self.wanted = FileAction(reduce(or_, (rule.wanted for rule in self.rules), 0))
        """All that any recipe could need."""
        self.residual = FileAction(residual)
        """Actions for which only `interest` can tell."""
        self.residual_sets: tuple[FileAction, ...] = tuple(FileAction(actions) for actions in sorted(residual_sets))
        """The same more narrowly: only once a process has done all of one of these sets to a file can it matter."""
        alone = reduce(or_, (actions for actions in residual_sets if actions.bit_count() == 1), 0)
        self.literals: tuple[Literal, ...] = tuple(
            Literal(kind, value, FileAction(actions))
            for (kind, value), actions in sorted(literals.items())
            if actions & ~alone
        )
        """For the kernel: with `residual` or `residual_sets` they cover every name that `interest` is not empty for."""
        self.wants_envs = any(_asks_for_envs(spec) for spec in self.recipes)
        """Whether any recipe tests the environment of a process."""

    def _index(
        self,
        rule: int,
        pattern: Pattern,
        below: _Entries,
        named: _Entries,
        anywhere: list[tuple[str, bytes | None, int]],
    ) -> None:
        base, directory, regex = pattern.base, pattern.dir, pattern.regex
        if regex is not None and directory is not None:
            below[directory].append((regex, base, rule))
        elif regex is not None and base is not None:
            named[base].append((regex, None, rule))
        elif regex is not None:
            anywhere.append((regex, None, rule))
        elif base is not None and directory is not None:
            self._exact[join(directory, base)].append(rule)
        elif base is not None:
            self._base[base].append(rule)
        elif directory is not None:
            self._dir[directory].append(rule)
        else:
            self._any_file.append(rule)

    def candidates(self, path: bytes) -> set[int]:
        """Return the indexes of the rules one of whose patterns holds for a name."""
        directory, _, base = path.rpartition(b"/")
        found = set(self._any_file)
        found.update(self._exact.get(path, ()))
        found.update(self._base.get(base, ()))
        found.update(self._dir.get(directory or b"/", ()))
        text = b""
        if self._anywhere is not None:
            text = subject(path)
            found.update(self._anywhere.found_in(text, base))
        named = self._named.get(base)
        if named is not None:
            found.update(named.found_in(text or subject(path), base))
        if self._below:
            for ancestor in ancestor_directories(path):
                expressions = self._below.get(ancestor)
                if expressions is not None:
                    relative = path[len(join(ancestor, b"")) :]
                    found.update(expressions.found_in(subject(relative), base))
        return found

    def interest(self, path: bytes) -> FileAction:
        """Return the actions on a file of this name that some recipe could match on, whoever does them."""
        return FileAction(reduce(or_, (self.rules[index].wanted for index in self.candidates(path)), 0))


def compile_set(recipes: Iterable[RecipeSpec]) -> CompiledSet:
    """Compile the recipes that are enabled and not off."""
    return CompiledSet(spec for spec in recipes if spec.enabled and spec.info.mode != "off")


def ancestor_directories(path: bytes) -> Iterator[bytes]:
    """Yield every directory that a name lies below, from the root down."""
    slash = path.find(b"/")
    while slash >= 0:
        yield path[:slash] or b"/"
        slash = path.find(b"/", slash + 1)


def _patterns(spec: RecipeSpec) -> tuple[Pattern, ...]:
    patterns = spec.file.patterns if spec.file else ()
    return patterns or (Pattern(),)


def _asks_for_envs(spec: RecipeSpec) -> bool:
    return any(item.what.endswith("envs") for group in spec.groups for item in group.items)
