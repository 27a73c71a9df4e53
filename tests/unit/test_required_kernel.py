"""What tests/conftest.py promises: no kernel test is skipped unseen in continuous integration."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = "pytester"

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SKIPS = """
import pytest

def test_skips():
    pytest.skip("no such hook")

@pytest.mark.skip(reason="no such helper")
def test_marked():
    pass

@pytest.mark.xfail(strict=True)
def test_known():
    assert False

def test_runs():
    pass
"""
SKIPS_AS_A_WHOLE = """
import pytest

pytest.skip("no such kernel", allow_module_level=True)
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST.read_text() + "\n\ndef why_not_here():\n    return None\n")
    for directory in ("kernel", "unit"):
        pytester.mkdir(directory)
        pytester.path.joinpath(directory, f"test_{directory}.py").write_text(SKIPS)
    return pytester


def test_a_skip_is_a_failure_where_the_kernel_is_required(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAQIB_REQUIRE_KERNEL", "1")
    result = project.runpytest_subprocess("kernel")
    result.assert_outcomes(passed=1, xfailed=1, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*expected to run since RAQIB_REQUIRE_KERNEL is set, but: *no such hook*"])


def test_a_module_that_skips_is_a_failure_as_well(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAQIB_REQUIRE_KERNEL", "1")
    project.path.joinpath("kernel/test_whole.py").write_text(SKIPS_AS_A_WHOLE)
    result = project.runpytest_subprocess("kernel/test_whole.py")
    assert 0 != result.ret
    result.stdout.fnmatch_lines(["*expected to run since RAQIB_REQUIRE_KERNEL is set, but: *no such kernel*"])


def test_other_tests_may_skip(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAQIB_REQUIRE_KERNEL", "1")
    project.runpytest_subprocess("unit").assert_outcomes(passed=1, xfailed=1, skipped=2)


def test_elsewhere_a_skip_is_a_skip(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAQIB_REQUIRE_KERNEL", raising=False)
    project.runpytest_subprocess("kernel", "unit").assert_outcomes(passed=2, xfailed=2, skipped=4)


def test_without_privileges_there_is_one_reason(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAQIB_REQUIRE_KERNEL", raising=False)
    project.makeconftest(CONFTEST.read_text().replace("os.geteuid() != 0", "True"))
    result = project.runpytest_subprocess("-rs", "kernel")
    result.assert_outcomes(skipped=4)
    result.stdout.fnmatch_lines(["*: needs root"])
    result.stdout.no_fnmatch_line("*no such helper*")


@pytest.mark.parametrize("value", ["", "0"])
def test_off_is_off(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("RAQIB_REQUIRE_KERNEL", value)
    project.runpytest_subprocess("kernel").assert_outcomes(passed=1, xfailed=1, skipped=2)
