"""What recipes cost: loading many, asking for a name that none knows, long lists of peers, hostile patterns.

Times are those of the processor, so that what else the machine does is not counted.
Prints one line of JSON for each, with the goal and whether it was met; exit status 1 if one was not.
"""

from __future__ import annotations

import json
import random
import resource
import time
from collections.abc import Callable
from statistics import median

from raqib.recipes.compile import CompiledSet, compile_set
from raqib.recipes.load import load_text
from raqib.recipes.networks import DomainSet, NetworkSet, list_entries
from raqib.recipes.regex import Expression, subject

RECIPES = 10_000
FEW = 100
ENTRIES = 1_000_000
UNKNOWN = b"/home/somebody/projects/thing/src/module/file.py"
RECIPE = """
- kind: kind_{n}
  name: recipe_{n}
  version: "1.0"
  description: of the benchmark
  mechanism: file_access
  breed: file_access
  tactic: execution
  technique: user_execution
  importance: low
  file_actions: [open, write]
  bases:
    - {pattern}
  arbitrary:
    - how: AND
      which: pertinent
      items:
        - {{what: exe, which: irrelevant, pattern: "^/usr/bin/program_{n}$"}}
"""
PATTERNS = (
    "base: name_{n}",
    "{{dir: /etc/thing_{n}, base: config}}",
    "{{dir: /opt/thing_{n}}}",
    "regex: /(tool|helper)_{n}$",
    '{{dir: /usr/lib/thing_{n}, regex: "\\\\.so$"}}',
)
HOSTILE = ("(a+)+$", "(a|aa)*b", "(.*a){20}x", "^(([a-z])+.)+[A-Z]([a-z])+$", "(a|b|ab)*c")


def recipes(count: int) -> str:
    return "".join(RECIPE.format(n=n, pattern=PATTERNS[n % len(PATTERNS)].format(n=n)) for n in range(count))


def seconds(work: Callable[[], object], rounds: int = 1) -> float:
    """Return what one round takes, the median of several measurements if there are many rounds."""
    taken = []
    for _ in range(1 if rounds == 1 else 9):
        began = time.process_time()
        for _ in range(rounds):
            work()
        taken.append((time.process_time() - began) / rounds)
    return median(taken)


def resident() -> int:
    """Return the most memory that the process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def say(what: str, met: bool, **figures: float) -> bool:
    print(json.dumps({what: {**figures, "met": met}}), flush=True)
    return met


def lists() -> bool:
    """A million names, a million networks: generated first, so that only the sets are counted."""
    dice = random.Random(1)
    met = True
    path = (f"0.0.0.0 host{n}.example{n % 1000}.com\n" for n in range(ENTRIES))
    before, began = resident(), time.process_time()
    domains = DomainSet(list_entries(path), "suffix")
    load_s, bytes_ = time.process_time() - began, resident() - before
    look_s = seconds(lambda: "www.host77.example78.com" in domains, 10_000)
    good = load_s < 10 and bytes_ < 200e6 and look_s < 5e-6 and "x.host77.example77.com" in domains
    met &= say("domains", good, load_s=round(load_s, 2), mb=round(bytes_ / 1e6, 1), look_up_us=round(look_s * 1e6, 2))
    cidrs = (f"{dice.randrange(1, 224)}.{n >> 8 & 255}.{n & 255}.{n >> 16}/{dice.choice((24, 28, 32))}"
             for n in range(ENTRIES))  # fmt: skip
    before, began = resident(), time.process_time()
    networks = NetworkSet(list_entries(cidrs))
    load_s, bytes_ = time.process_time() - began, resident() - before
    look_s = seconds(lambda: "240.1.2.3" in networks, 10_000)
    good = load_s < 10 and bytes_ < 200e6 and look_s < 5e-6
    return met & say(
        "networks", good, load_s=round(load_s, 2), mb=round(bytes_ / 1e6, 1), look_up_us=round(look_s * 1e6, 2)
    )


def many_recipes() -> bool:
    text = recipes(RECIPES)
    loaded: list[CompiledSet] = []

    def load() -> None:
        found = load_text(text, "bench.yaml")
        assert len(found.recipes) == RECIPES, found.diagnostics[:3]
        loaded.append(compile_set(found.recipes))

    load_s = seconds(load)
    few = compile_set(load_text(recipes(FEW), "bench.yaml").recipes)
    few_s = seconds(lambda: few.interest(UNKNOWN), 2000)
    many_s = seconds(lambda: loaded[0].interest(UNKNOWN), 2000)
    met = say("load_10000_recipes", load_s < 5, load_s=round(load_s, 2))
    return met & say(
        "unknown_path",
        many_s < 3 * few_s,
        with_100_us=round(few_s * 1e6, 2),
        with_10000_us=round(many_s * 1e6, 2),
        ratio=round(many_s / few_s, 2),
    )


def hostile() -> bool:
    texts = [b"/" + b"a" * 4094 + b"!", b"/" + b"ab" * 2047, b"/" + b"a/" * 2047]
    worst = 0.0
    for source in HOSTILE:
        expression = Expression(source)
        for text in texts:
            worst = max(worst, seconds(lambda text=text, one=expression: one.found_in(subject(text)), 20))  # type: ignore[misc]
    return say("hostile_expression", worst < 1e-3, worst_us=round(worst * 1e6, 1))


def main() -> int:
    """Print the results."""
    results = [lists(), many_recipes(), hostile()]  # the lists first: memory is counted at its highest
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
