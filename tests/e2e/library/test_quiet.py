"""Everyday work is no detection: of importance high and above, nothing may be said.

RAQIB_QUIET=long makes it the whole list: with ten minutes of idling and packages that are installed again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import AgentProcess, Event
from tests.e2e.library.stage import Stage, is_below, summary

LONG = os.environ.get("RAQIB_QUIET") == "long"
IDLE_S = int(os.environ.get("LONG_IDLE_S", "600")) if LONG else 3
PATIENCE_S = 240.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(IDLE_S + 2 * PATIENCE_S)]

PIP = """
python3 -m venv "$WORK/venv"
"$WORK/venv/bin/pip" install --no-cache-dir --only-binary :all: msgspec
"$WORK/venv/bin/python" -c 'import msgspec; msgspec.json.decode(b"1")'
"""

GIT = """
export GIT_CONFIG_GLOBAL=/dev/null
git init -q "$WORK/origin"
cd "$WORK/origin"
echo text > file
git add file
git -c user.name=raqib -c user.email=raqib@localhost commit -q -m 'a commit'
git clone -q "file://$WORK/origin" "$WORK/clone"
git clone -q --no-hardlinks "$WORK/origin" "$WORK/copy"
git -C "$WORK/clone" pull -q
git -C "$WORK/clone" gc -q
"""

GCC = """
cd "$WORK"
printf '#include <stdio.h>\\nint main(void) { return puts("compiled") < 0; }\\n' > main.c
printf 'main: main.c\\n\\tgcc -O2 -g -flto -pipe -o main main.c -lm\\n' > Makefile
make -s
gcc -O2 -shared -fPIC -o libmain.so main.c
./main
"""

LOGROTATE = """
mkdir -m 755 -p "$STAGE/log/audit"
for log in auth.log syslog wtmp btmp audit/audit.log; do echo line > "$STAGE/log/$log"; done
mount --bind "$STAGE/log" /var/log
cat > "$WORK/rotate.conf" <<'END'
create
compress
/var/log/auth.log /var/log/syslog /var/log/audit/audit.log {
    rotate 4
    daily
    postrotate
        true
    endscript
}
/var/log/wtmp /var/log/btmp {
    rotate 1
    create 0660 root utmp
}
END
logrotate --force --state "$WORK/state" "$WORK/rotate.conf"
logrotate --force --state "$WORK/state" "$WORK/rotate.conf"
[ -e /var/log/auth.log.2.gz ]
"""

# The login is as root with a key, by a daemon of the test's own, with the system's PAM and shell.
SSH = """
blank /root
cover /etc
blank /run
mkdir -p /run/sshd /root/.ssh
ssh-keygen -q -t ed25519 -N '' -f "$WORK/host_key"
ssh-keygen -q -t ed25519 -N '' -f "$WORK/id"
cat > "$WORK/sshd_config" <<END
Port $PORT
ListenAddress 127.0.0.1
HostKey $WORK/host_key
PidFile $WORK/sshd.pid
AuthorizedKeysFile $WORK/id.pub
StrictModes no
PermitRootLogin yes
UsePAM yes
PrintMotd no
Subsystem sftp internal-sftp
END
"$(which sshd)" -D -e -f "$WORK/sshd_config" &
server=$!
login() {
    timeout 10 ssh -F none -i "$WORK/id" -p "$PORT" -o BatchMode=yes -o StrictHostKeyChecking=no \\
        -o UserKnownHostsFile="$WORK/known" root@127.0.0.1 "$@"
}
tries=0
until login true 2> "$WORK/said"; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { cat "$WORK/said"; kill $server; exit 1; }
    sleep 0.1
done
echo 'id; uname' | login
kill $server
wait $server || :
"""

APT = """
export DEBIAN_FRONTEND=noninteractive
apt-get install -y --reinstall hostname netbase sensible-utils
"""

# What goes on when nobody is there: somebody looks how the machine does, a log grows, files grow old.
AT_REST = """
end=$(($(date +%s) + IDLE_S))
while [ "$(date +%s)" -lt "$end" ]; do
    uptime >> "$WORK/app.log"
    ps ax > "$WORK/ps"
    df > "$WORK/df"
    cat /proc/meminfo /proc/net/dev > "$WORK/state"
    find "$WORK" -name '*.old' -mtime +1 -delete
    sleep 0.5
done
"""

SCAN = "blank /opt; program /opt/nmap; /opt/nmap"

WORK = [
    pytest.param(PIP, "pip", id="pip installs a compiled wheel"),
    pytest.param(GIT, "git", id="git clones"),
    pytest.param(GCC, "gcc", id="gcc compiles"),
    pytest.param(LOGROTATE, "logrotate", id="logs are rotated"),
    *([pytest.param(SSH, "sshd", id="a login over ssh")] if shutil.which("sshd") else []),
    # It changes the system.
    *([pytest.param(APT, "apt-get", id="packages are installed again")] if LONG else []),
]


@pytest.fixture
def work_directory() -> Iterator[Path]:
    """A directory where a user would work: not below one for temporary files."""
    with tempfile.TemporaryDirectory(prefix="raqib-quiet-", dir="/srv") as name:
        yield Path(name)


def is_grave(event: Event) -> bool:
    return event["metadata"].get("importance") in ("high", "critical")


@pytest.mark.parametrize(("script", "tool"), WORK)
def test_nothing_grave_is_said_of_everyday_work(script: str, tool: str, stage: Stage, work_directory: Path) -> None:
    if tool != "pip" and shutil.which(tool) is None:
        pytest.skip(f"needs {tool}")
    root = stage.perform(script, PATIENCE_S, WORK=str(work_directory), PORT=str(20000 + os.getpid() % 10000))
    assert [] == [summary(event) for event in stage.seen(root) if is_grave(event)]


def test_nothing_grave_is_said_of_an_idle_machine(
    library_agent: AgentProcess, stage: Stage, work_directory: Path
) -> None:
    """Neither of what runs on a machine at rest nor of the agent; what else runs on this one is not judged."""
    before = len(library_agent.events)
    root = stage.perform(AT_REST, IDLE_S + PATIENCE_S, WORK=str(work_directory), IDLE_S=str(IDLE_S))
    said = stage.seen(root)
    said += [event for event in library_agent.events[before:] if is_below(event, library_agent.process.pid)]
    assert [] == [summary(event) for event in said if is_grave(event)]
    assert any(is_grave(event) for event in stage.seen(stage.perform(SCAN)))
