"""The wheel on a host without a compiler: built once, installed with the locked dependencies, started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OBJECTS = ("files.x86_64.bpf.o", "files.aarch64.bpf.o", "net.x86_64.bpf.o", "net.aarch64.bpf.o")


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=100, check=False
    )


def succeed(*command: str | Path, **environment: str) -> str:
    done = run(*command, **environment)
    assert 0 == done.returncode, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that neither the checkout's objects nor its environment take part."""
    source = tmp_path_factory.mktemp("source") / "raqib"
    ignored = shutil.ignore_patterns(".*", "*.bpf.o", "__pycache__", "tests", "dist", "build")
    shutil.copytree(ROOT, source, ignore=ignored)
    output = tmp_path_factory.mktemp("dist")
    succeed(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", output, source)
    (built,) = output.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    uv = shutil.which("uv", path=f"{ROOT}/.tools/bin:{os.environ['PATH']}")
    if uv is None:
        pytest.skip("needs uv: run scripts/setup test")
    place = tmp_path_factory.mktemp("clean") / "venv"
    python = place / "bin/python"
    succeed(uv, "venv", "--python", sys.executable, place)
    lock = ROOT / "requirements/run.txt"
    succeed(uv, "pip", "install", "--python", python, "--require-hashes", "-r", lock)
    succeed(uv, "pip", "install", "--python", python, "--no-deps", wheel)
    return place


@pytest.fixture(scope="module")
def path_without_compiler(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with nothing but the environment's programs and a shell."""
    programs = tmp_path_factory.mktemp("programs")
    for name in ("sh", "uname", "ldconfig"):
        (programs / name).symlink_to(shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin") or "/nonexistent")
    path = f"{environment}/bin:{programs}"
    assert shutil.which("clang", path=path) is None
    assert shutil.which("gcc", path=path) is None
    return path


def test_the_wheel_is_for_every_host(wheel: Path) -> None:
    assert f"raqib-{version('raqib')}-py3-none-any.whl" == wheel.name
    with zipfile.ZipFile(wheel) as contents:
        for name in OBJECTS:
            assert contents.read(f"raqib/kernel/objects/{name}").startswith(b"\x7fELF")
        names = contents.namelist()
        assert any(name.endswith("licenses/LICENSE") for name in names)
        assert any(name.endswith("licenses/bpf/LICENSE.GPL-2.0") for name in names)
        assert any(name.endswith("licenses/bpf/LICENSE.BSD-2-Clause") for name in names)
        assert "raqib/py.typed" in names


def test_the_installed_command_tells_its_version(environment: Path, path_without_compiler: str) -> None:
    output = succeed(environment / "bin/raqib", "--version", PATH=path_without_compiler)
    assert f"raqib {version('raqib')}\n" == output


def test_the_installed_command_looks_at_the_host(environment: Path, path_without_compiler: str) -> None:
    done = run(environment / "bin/raqib", "doctor", PATH=path_without_compiler)
    assert "Traceback" not in done.stderr
    # 3: something is not permitted here, and the output says what.
    assert done.returncode in (0, 3), done.stderr
    assert done.stdout
