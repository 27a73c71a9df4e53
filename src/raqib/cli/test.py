"""`raqib test`: runs the tests that recipes bring, without privileges."""

from __future__ import annotations

import re
import sys
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree

import msgspec
import typer

from raqib.cli.recipe_options import AsJson, ConfigFile
from raqib.cli.words import count, stage_lines
from raqib.config.config import load_config
from raqib.errors import UsageError
from raqib.library.reading import load_path, with_checked_reactions, without_recipes
from raqib.offline.dry_run import show_call
from raqib.offline.recipe_tests import RecipeTestReport, run_recipe_tests
from raqib.printers.escape import visible
from raqib.recipes.diagnostic import Diagnostic, Loaded
from raqib.recipes.load import combine, load_builtin

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WORDS = {"passed": "ok", "failed": "FAIL"}


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.command("test")(run_tests)


def run_tests(
    paths: Annotated[list[Path] | None, typer.Argument(help="Recipe files, and directories of them.")] = None,
    builtin: Annotated[bool, typer.Option("--builtin", help="The built-in recipes too.")] = False,
    name: Annotated[str, typer.Option(help="Only recipes whose name fits this shell pattern.")] = "*",
    config: ConfigFile = None,
    as_json: AsJson = False,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file, too.")] = None,
) -> None:
    """Run the tests in recipes, reactions with dry actions; exit status 1 if one fails. Needs no privileges."""
    if not paths and not builtin:
        raise UsageError("expected recipe files or directories of them, found none; --builtin tests the built-in ones")
    settings = load_config(config)
    # Who owns the files is a matter of the host that runs them, not of the one that tests them.
    users = [load_path(path, allow_unsafe_owner=True) for path in paths or ()]
    for path, user in zip(paths or (), users, strict=True):
        for warning in without_recipes(path, user):
            print(f"warning: {visible(str(warning))}", file=sys.stderr)
    loaded = combine(load_builtin() if builtin else Loaded(), users)
    recipes, problems = with_checked_reactions(loaded.recipes)
    errors = [*loaded.errors, *problems]
    chosen = [recipe for recipe in recipes if fnmatchcase(recipe.name, name)]
    reports = run_recipe_tests(chosen, settings)
    untested = [recipe.name for recipe in chosen if not recipe.tests]
    failed = sum(report.outcome == "failed" for report in reports)
    if junit is not None:
        _write_junit(junit, reports, errors)
    if as_json:
        answer = {
            "passed": sum(report.outcome == "passed" for report in reports),
            "failed": failed,
            "errors": errors,
            "untested": untested,
            "tests": reports,
        }
        print(msgspec.json.encode(answer).decode())
    else:
        _print(reports, errors, len(chosen), untested)
    raise typer.Exit(1 if failed or errors else 0)


def _print(reports: list[RecipeTestReport], errors: list[Diagnostic], recipes: int, untested: list[str]) -> None:
    for error in errors:
        print(f"error: {visible(str(error))}", file=sys.stderr)
    for (source, recipe), group in groupby(reports, key=lambda report: (report.source, report.recipe)):
        print(f"{visible(recipe)}  ({visible(source)})")
        for report in group:
            print(f"  {_WORDS[report.outcome]:<4}  {visible(report.test)}")
            if report.message:
                print(f"        {visible(report.message, limit=4000)}")
            for line in stage_lines(report.stages):
                print(f"        {line}")
    outcomes: list[str] = [report.outcome for report in reports]
    told = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in ("passed", "failed"))
    print(f"{count(len(reports), 'test')} of {count(recipes, 'recipe')}: {told}; {len(untested)} without tests")


def _write_junit(file: Path, reports: list[RecipeTestReport], errors: list[Diagnostic]) -> None:
    """Write what continuous integration reads: a suite for each recipe, an error for each that did not load."""
    root = ElementTree.Element("testsuites", name="raqib")
    for (source, recipe), group in groupby(reports, key=lambda report: (report.source, report.recipe)):
        suite = ElementTree.SubElement(root, "testsuite", name=_xml(recipe), file=_xml(source))
        cases = list(group)
        for report in cases:
            case = ElementTree.SubElement(
                suite, "testcase", classname=_xml(recipe), name=_xml(report.test), time=f"{report.duration_s:.3f}"
            )
            if report.outcome == "failed":
                failure = ElementTree.SubElement(case, "failure", message=_xml(report.message))
                failure.text = _xml("\n".join((*stage_lines(report.stages), *_call_lines(report))))
        outcomes = [report.outcome for report in cases]
        suite.set("tests", str(len(cases)))
        suite.set("failures", str(outcomes.count("failed")))
        suite.set("errors", "0")
    if errors:
        suite = ElementTree.SubElement(
            root, "testsuite", name="loading", tests=str(len(errors)), errors=str(len(errors)), failures="0"
        )
        for error in errors:
            case = ElementTree.SubElement(
                suite, "testcase", classname="loading", name=_xml(error.recipe or error.source)
            )
            ElementTree.SubElement(case, "error", message=_xml(str(error)))
    ElementTree.indent(root)
    try:
        ElementTree.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise UsageError(f"--junit: expected a file that can be written, found: {error}") from error


def _call_lines(report: RecipeTestReport) -> list[str]:
    return [
        f"reaction {reaction.reaction}: {show_call(call['name'], call['arguments'])} answered {call['value']!r}"
        for reaction in report.reactions
        for call in reaction.calls
    ]


def _xml(text: str) -> str:
    """Return text without the characters that XML cannot carry."""
    return _NOT_IN_XML.sub("\ufffd", text)
