"""Why a recipe matches an observation or does not: every stage, in order, with what was looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from raqib.matcher.ancestry import Ancestry
from raqib.matcher.arbitrary import Arbitrary, compile_item
from raqib.matcher.explain_flow import flow_findings
from raqib.matcher.facts import Facts
from raqib.matcher.finding import Finding, quoted
from raqib.model.actions import ALL_ACTIONS, FileAction, action_names
from raqib.model.clock import boot_offset_ns
from raqib.model.flow import FlowObservation
from raqib.model.observation import FileObservation
from raqib.recipes.compile import EXECVE_IMPLIES, CompiledSet, Rule
from raqib.recipes.spec import FilePart, Group, Item, Pattern, RecipeSpec

_MOST_VALUES = 3


def explain(
    spec: RecipeSpec,
    seen: FileObservation | FlowObservation,
    ancestry: Ancestry,
    *,
    offset_ns: Callable[[], int] = boot_offset_ns,
) -> list[Finding]:
    """Return what each stage says of an observation, also those behind one that says no. Counts nothing."""
    if isinstance(seen, FlowObservation):
        if spec.network is None:
            return [Finding("flow", False, (f"a recipe of mechanism {spec.mechanism} is not about flows",))]
        about = flow_findings(spec, spec.network, seen)
        facts = Facts(seen.process, ancestry, offset_ns, seen)
    else:
        if spec.file is None:
            told = f"a recipe of mechanism {spec.mechanism} is not about files or programs"
            return [Finding("flow", False, (told,))]
        about = [_bases(spec, spec.file, seen), _file_actions(spec, spec.file, seen)]
        facts = Facts(seen.process, ancestry, offset_ns, file=seen)
    return [*about, _arbitrary(spec, facts), _times(spec)]


def _bases(spec: RecipeSpec, part: FilePart, seen: FileObservation) -> Finding:
    if not part.patterns:
        return Finding("bases", True, ("any file",))
    details = [
        f"{describe_pattern(pattern)} holds for {quoted(name)}"
        for pattern in part.patterns
        for name in seen.names
        if CompiledSet([replace(spec, file=replace(part, patterns=(pattern,)))]).candidates(name)
    ]
    if details:
        return Finding("bases", True, tuple(details))
    names = " or ".join(quoted(name) for name in seen.names)
    none = [f"{describe_pattern(pattern)} does not hold for {names}" for pattern in part.patterns[:20]]
    if len(part.patterns) > len(none):
        none.append(f"and {len(part.patterns) - len(none)} more do not")
    return Finding("bases", False, tuple(none))


def describe_pattern(pattern: Pattern) -> str:
    """Return a pattern as a recipe writes it."""
    fields = (("base", pattern.base), ("dir", pattern.dir), ("regex", pattern.regex))
    return "{" + ", ".join(f"{name}: {quoted(value)}" for name, value in fields if value is not None) + "}"


def _file_actions(spec: RecipeSpec, part: FilePart, seen: FileObservation) -> Finding:
    rule = Rule(0, spec)
    done = int(seen.actions) | (int(EXECVE_IMPLIES) if seen.actions & FileAction.EXECVE else 0)
    if part.actions == ALL_ACTIONS:
        needs = "all actions" if part.all else "any action"
    else:
        needs = f"{'all' if part.all else 'any'} of {_named(part.actions)}"
    if spec.mechanism in ("execution", "env_vars"):
        needs += ", and execve"
    did, implied = seen.actions, ""
    if did & FileAction.EXECVE:
        # What is implied is not listed beside it: nobody reads a list of fifteen.
        others = EXECVE_IMPLIES & ~FileAction.EXECVE
        did, implied = did & ~others, f" (execve implies {_named(others)})"
    details = (f"needs {needs}", f"the process did {_named(did) or 'nothing'}{implied}")
    return Finding("file_actions", rule.satisfied_by(done), details)


def _named(actions: int) -> str:
    return " ".join(action_names(actions))


def _arbitrary(spec: RecipeSpec, facts: Facts) -> Finding:
    if not spec.groups:
        return Finding("arbitrary", True, ("no groups",))
    details = [line for number, group in enumerate(spec.groups, 1) for line in _group(number, group, facts)]
    return Finding("arbitrary", Arbitrary(spec).passes(facts), tuple(details))


def _group(number: int, group: Group, facts: Facts) -> Iterator[str]:
    matching = [compile_item(item)(facts) for item in group.items]
    pertinent = [found for item, found in zip(group.items, matching, strict=True) if item.pertinent]
    if any(found and not item.pertinent for item, found in zip(group.items, matching, strict=True)):
        verdict = "irrelevant: an irrelevant item matches"
    elif pertinent and group.every:
        verdict = "pertinent: all pertinent items match" if all(pertinent) else "irrelevant: not all items match"
    elif pertinent:
        verdict = "pertinent: a pertinent item matches" if any(pertinent) else "irrelevant: no item matches"
    else:
        verdict = f"{'pertinent' if group.pertinent else 'irrelevant'}: its own, since no item decides"
    yield f"group {number} is {verdict}"
    for item, found in zip(group.items, matching, strict=True):
        which = "pertinent" if item.pertinent else "irrelevant"
        yield f"  {which} {_item(item)}: {'matches' if found else 'does not match'} ({_known(item, facts)})"


def _item(item: Item) -> str:
    if item.pattern is not None:
        which = "" if item.index is None else f" {item.index}"
        return f"{item.what}{which} pattern {quoted(item.pattern)}"
    if item.numbers is not None:
        return f"{item.what} {item.when} {' or '.join(map(str, item.numbers))}"
    value = item.time.isoformat() if item.time is not None else item.cidr
    return f"{item.what} {item.when} {value}"


def _known(item: Item, facts: Facts) -> str:
    if item.time is not None:
        values = [str(second) for second in facts.seconds(item.what)]
    else:
        known = facts.texts(item.what) if item.index is None else facts.argument(item.index)
        values = [quoted(text) for text in known]
    if not values:
        return "not known"
    more = f" and {len(values) - _MOST_VALUES} more" if len(values) > _MOST_VALUES else ""
    return f"known: {', '.join(values[:_MOST_VALUES])}{more}"


def _times(spec: RecipeSpec) -> Finding:
    if not spec.times:
        return Finding("times", True, ("no limits",))
    return Finding("times", None, tuple(f"{limit.kind}: at most {limit.max}" for limit in spec.times))
