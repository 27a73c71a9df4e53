"""What recipes about flows cost: lists of a million names or networks in files, many recipes, names that look thrown.

Times are those of the processor, so that what else the machine does is not counted. Each part runs in a process of its
own, since memory is counted at its highest. Prints one line of JSON for each, with the goal and whether it was met;
exit status 1 if one was not.
"""

from __future__ import annotations

import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.unit.matcher.generated_names import COUNT, MAKERS, generated

from bench.recipes import ENTRIES, FEW, RECIPES, resident, say, seconds
from raqib.matcher import FlowMatcher, KnownAncestry
from raqib.matcher.domain_score import domain_score
from raqib.model.flow import Endpoint, FlowAction, FlowObservation
from raqib.model.process import Process, ProcessKey
from raqib.recipes.compile import CompiledSet, compile_set
from raqib.recipes.lists import Lists
from raqib.recipes.load import load_text

HEAD = """
- kind: kind_{n}
  name: recipe_{n}
  version: "1.0"
  description: of the benchmark
  mechanism: network_peers
  breed: {breed}
  tactic: command_and_control
  technique: application_layer_protocol
  importance: low
"""
FIELDS = (
    ("remote_domains", "  remote_domains_type: suffix\n  remote_domains: [bad{n}.example.com, worse{n}.example.net]\n"),
    ("remote_domains", "  remote_domains: [exact{n}.example.org]\n  remote_port: 443\n"),
    ("remote_cidrs", "  remote_cidrs: [10.{a}.{b}.0/24, 'fd00:{a:x}:{b:x}::/48']\n"),
    ("remote_cidrs", "  remote_port: {port}\n  protocol: tcp\n"),
)
SURE = 90
FEW_ENTRIES = 1000


def unknown(number: int = 0) -> FlowObservation:
    """Return a flow that no recipe is about."""
    return FlowObservation(
        process=Process(ProcessKey(7, 7)),
        protocol="tcp",
        ip_version=4,
        local=Endpoint("192.0.2.1", 50_000),
        remote=Endpoint(f"203.0.113.{number % 256}", 443, ("static.cdn.example.edu", "edge.cdn.example.info")),
        actions=FlowAction.EGRESS,
        new=FlowAction.EGRESS,
        timestamp_ns=1,
    )


def recipes(count: int) -> CompiledSet:
    parts = []
    for n in range(count):
        breed, fields = FIELDS[n % len(FIELDS)]
        parts.append(HEAD.format(n=n, breed=breed))
        parts.append(fields.format(n=n, a=n >> 8 & 255, b=n & 255, port=1024 + n))
    loaded = load_text("".join(parts), "bench.yaml")
    assert len(loaded.recipes) == count, loaded.diagnostics[:3]
    return compile_set(loaded.recipes)


def with_list(directory: Path, kind: str, count: int) -> tuple[FlowMatcher, float, int]:
    """Return a matcher of a recipe with a list of that many entries, the seconds that reading took, and its bytes."""
    dice = random.Random(1)
    path = directory / f"{kind}.{count}"
    with path.open("w") as file:
        for n in range(count):
            if kind == "domains":
                file.write(f"0.0.0.0 host{n}.bad{n % 997}.example.com\n")
            else:
                length = dice.choice((24, 28, 32))
                file.write(f"{dice.randrange(1, 200)}.{n >> 8 & 255}.{n & 255}.{n >> 16}/{length}\n")
    breed = f"remote_{kind}"
    head = HEAD.format(n=0, breed=breed) + "  remote_domains_type: suffix\n"
    before, began = resident(), time.process_time()
    loaded = load_text(head + f"  {breed}_file: {path}\n", "bench.yaml", lists=Lists(directory))
    matcher = FlowMatcher(compile_set(loaded.recipes))
    taken, held = time.process_time() - began, resident() - before
    assert not loaded.errors, loaded.errors
    return matcher, taken, held


def long_lists(kind: str) -> bool:
    """A million entries in a file, against a thousand."""
    nobody, flow = KnownAncestry(), unknown()
    with tempfile.TemporaryDirectory() as name:
        few, _, _ = with_list(Path(name), kind, FEW_ENTRIES)
        many, load_s, bytes_ = with_list(Path(name), kind, ENTRIES)
    few_s = seconds(lambda: few.match(flow, nobody), 5000)
    many_s = seconds(lambda: many.match(flow, nobody), 5000)
    return say(
        f"list_of_a_million_{kind}",
        load_s < 10 and bytes_ < 200e6 and many_s < 3 * few_s,
        load_s=round(load_s, 2),
        mb=round(bytes_ / 1e6, 1),
        with_1000_us=round(few_s * 1e6, 2),
        with_1000000_us=round(many_s * 1e6, 2),
        ratio=round(many_s / few_s, 2),
    )


def domains() -> bool:
    """Names."""
    return long_lists("domains")


def networks() -> bool:
    """Networks."""
    return long_lists("cidrs")


def many_recipes() -> bool:
    """Ten thousand recipes about other flows, against a hundred."""
    nobody, flow = KnownAncestry(), unknown()
    few, many = FlowMatcher(recipes(FEW)), FlowMatcher(recipes(RECIPES))
    assert not few.match(flow, nobody)
    assert not many.match(flow, nobody)
    few_s = seconds(lambda: few.match(flow, nobody), 5000)
    many_s = seconds(lambda: many.match(flow, nobody), 5000)
    return say(
        "unknown_flow",
        many_s < 3 * few_s,
        with_100_us=round(few_s * 1e6, 2),
        with_10000_us=round(many_s * 1e6, 2),
        ratio=round(many_s / few_s, 2),
    )


def scores() -> bool:
    """Which share of generated names the score recognises, and of names that people visit."""
    lines = (Path(__file__).parents[1] / "tests/unit/matcher/popular_names.txt").read_text().splitlines()
    popular = [name for line in lines if not line.startswith("#") for name in line.split()]
    for kind in MAKERS:
        found = sum(domain_score(name) > SURE for name in generated(kind))
        print(f"  {kind:<30} {found / COUNT:6.1%}")
    wrong = sum(domain_score(name) > SURE for name in popular)
    print(f"  {'popular names':<30} {wrong / len(popular):6.1%} of {len(popular)}")
    names = iter(f"n{number}{name}" for number in range(1000) for name in popular)
    score_s = seconds(lambda: domain_score(next(names)), 500)
    return say("score_of_a_name", not wrong and score_s < 1e-4, us=round(score_s * 1e6, 1))


def main() -> int:
    """Print the results."""
    context = multiprocessing.get_context("spawn")
    met = True
    parts: tuple[Callable[[], bool], ...] = (domains, networks, many_recipes, scores)
    for part in parts:
        with context.Pool(1) as pool:
            met &= pool.apply(part)
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
