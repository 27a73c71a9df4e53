"""Coverage-guided fuzzing of everything that a recipe file goes through before it is in force.

    make long-fuzz-recipes, or, with atheris installed: python -m tests.fuzz.recipes -max_total_time=600 CORPUS…

Whatever the bytes are, there are diagnostics or recipes, and no exception. The built-in recipes are the first corpus.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["raqib"]):
    import raqib.recipes
    from raqib.matcher.matcher import prepare
    from raqib.recipes.compile import compile_set
    from raqib.recipes.load import load_text

NAMES = (b"/etc/shadow", b"/", b"/tmp/\xff\n", b"/" + b"a/" * 500)


def load(data: bytes) -> None:
    """Take a file's content all the way; raise if anything but a clear answer comes of it."""
    loaded = load_text(data, "fuzzed.yaml")
    for diagnostic in loaded.diagnostics:
        if "\x1b" in str(diagnostic) or "\n" in str(diagnostic):
            raise AssertionError(f"a message that is not one plain line: {str(diagnostic)!r}")
    if not loaded.recipes:
        return
    compiled = compile_set(loaded.recipes)
    prepare(compiled)
    for name in NAMES:
        compiled.interest(name)


def main() -> None:
    """Fuzz until told to stop."""
    for path in sorted((Path(raqib.recipes.__file__).parent / "builtin").glob("*.yaml")):
        load(path.read_bytes())
    atheris.Setup(sys.argv, load)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
