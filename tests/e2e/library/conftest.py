from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cgroups import new_cgroup
from tests.e2e.conftest import AgentProcess
from tests.e2e.library.stage import Stage

EXAMPLES = ("--enable", "file_example", "--enable", "exec_example")


@pytest.fixture(scope="package")
def library_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    """One agent with all built-in recipes for the whole folder."""
    with new_cgroup("library") as cgroup:
        directory = tmp_path_factory.mktemp("agent")
        config = directory / "config.yaml"
        config.write_text("network: {resolvers: [127.0.0.1]}\n")
        agent = AgentProcess(directory, 0, cgroup, ["--each", "--config", str(config), *EXAMPLES])
        try:
            agent.wait_ready()
            yield agent
        finally:
            if agent.process.poll() is None:
                agent.stop()
            assert agent.process.stdout is not None
            agent.process.stdout.close()


@pytest.fixture
def stage(library_agent: AgentProcess, tmp_path: Path) -> Stage:
    return Stage(library_agent, tmp_path)
