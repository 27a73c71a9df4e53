"""The built-in recipes about execution, each on the live kernel: what it is for, and what is almost that."""

from __future__ import annotations

import pytest

from tests.e2e.library.stage import Deed, Stage

MEMFD = """"$PYTHON" -c '
import os
fd = os.memfd_create("raqib", 0)
os.write(fd, open("/bin/true", "rb").read())
{}
'"""

CODE = [
    Deed(
        "code_on_the_fly_memfd",
        MEMFD.format('os.execve(fd, ["true"], os.environ)'),
        MEMFD.format('import mmap; mmap.mmap(fd, 0).close(); os.execv("/bin/true", ["true"])'),
    ),
    Deed(
        "code_on_the_fly_decoded",
        "sh -c 'echo Og== | base64 -d | sh'",
        "sh -c 'echo Og== | base64 -d | wc -c'; sh -c 'ls -l / | wc -l'; \"$PYTHON\" -c 'import base64; print(1)'",
    ),
    Deed(
        "code_on_the_fly_piped",
        "sh -c 'curl -s file:///dev/null | sh'",
        "sh -c 'curl -s file:///dev/null -o /dev/null; ls / | sort'",
    ),
    Deed(
        "exec_from_unusual_dir_shm",
        "blank /dev/shm; mkdir /dev/shm/.a; program /dev/shm/.a/x; /dev/shm/.a/x",
        "blank /dev/shm; program /dev/shm/x; cat /dev/shm/x > /dev/null",
        "/dev/shm/.a/x",
    ),
    Deed(
        "exec_from_unusual_dir",
        "blank /var/tmp; echo '#!/bin/sh' > /var/tmp/run.sh; chmod +x /var/tmp/run.sh; /var/tmp/run.sh",
        "blank /var/tmp; echo : > /var/tmp/run.sh; sh /var/tmp/run.sh",
        "/var/tmp/run.sh",
    ),
    Deed(
        "exec_from_unusual_dir_run",
        "blank /run; mkdir /run/lock; program /run/lock/x; /run/lock/x",
        "blank /run; mkdir -p /run/wrappers/bin; program /run/wrappers/bin/x; /run/wrappers/bin/x",
        "/run/lock/x",
    ),
    Deed(
        "hidden_elf_exec",
        "blank /opt; program /opt/.sshd; /opt/.sshd",
        "blank /opt; mkdir -p /opt/.local/bin; program /opt/.local/bin/tool; /opt/.local/bin/tool",
        "/opt/.sshd",
    ),
    Deed(
        "binary_executed_by_loader",
        "blank /opt; program /opt/x; chmod -x /opt/x\n"
        "for loader in /lib64/ld-linux-*.so.2 /lib/ld-linux-*.so.1; do [ ! -e $loader ] || $loader /opt/x; done",
        "ldd /bin/true",
    ),
]


def named(recipe: str, name: str, other: str, arguments: str = "", other_arguments: str = "") -> Deed:
    """A deed that is an execution of a program of that name, its near miss the same under another name."""
    return Deed(
        recipe,
        f"blank /opt; program /opt/{name}; /opt/{name} {arguments}",
        f"blank /opt; program /opt/{other}; /opt/{other} {other_arguments or arguments}; cat /opt/{name} || :",
        f"/opt/{name}",
    )


TOOLS = [
    named("denial_of_service_tools", "hping3", "ping", "--flood localhost"),
    named("net_filecopy_tool_exec", "rclone", "cp", "copy a b"),
    named("net_mitm_tool_exec", "arpspoof", "arp", "-a"),
    named("net_scan_tool_exec", "nmap", "nmap-notes", "localhost"),
    named("net_sniff_tool_exec", "tcpdump", "ss", "-n"),
    named("net_suspicious_tool_exec", "socat", "curl", "localhost"),
    named("crypto_miner_execution", "xmrig", "xmrig-notes"),
    named("password_brute_force", "john", "johnny", "hashes"),
    named("file_attribute_change", "chattr", "lsattr", "/opt"),
    named("data_encoder_exec", "base64", "basename", "/dev/null"),
    named("passwd_usage", "x", "y")._replace(
        does="cover /usr/bin; program /usr/bin/passwd; passwd nobody",
        near_miss="cover /usr/bin; program /usr/bin/passwd; passwd -S nobody; cat /etc/passwd",
        path="/passwd",
    ),
    Deed(
        "crypto_miner_execution_arguments",
        "blank /opt; program /opt/worker; /opt/worker -o stratum+tcp://localhost:1 -u nobody",
        "grep stratum+tcp:// /dev/null || :; blank /opt; program /opt/worker; /opt/worker -a -o localhost",
        "/opt/worker",
    ),
    Deed(
        "credentials_text_lookup",
        "blank /opt; grep -rni password /opt || :",
        "blank /opt; grep -rn main /opt || :; grep password /dev/null || :; grep ^root: /etc/passwd",
        "/grep",
    ),
    Deed(
        "credentials_text_lookup_find",
        "blank /opt; find /opt -name 'id_rsa*'",
        "blank /opt; find /opt -name 'sess_*' -delete",
        "/find",
    ),
    Deed(
        "file_attribute_change_setuid",
        "blank /opt; program /opt/x; chmod u+s /opt/x",
        "blank /opt; program /opt/install.sh; chmod 0755 /opt/install.sh; chmod +x /opt/install.sh",
        "/chmod",
    ),
    Deed(
        "runc_suspicious_exec",
        "blank /opt; program /opt/runc; /opt/runc exec --cwd /proc/self/fd/8 c1 sh",
        "blank /opt; program /opt/runc; /opt/runc --root /run/runc create --bundle /b c1",
        "/opt/runc",
    ),
]

SHELLS = [
    Deed(
        "webserver_shell_exec",
        "cover /usr/sbin; program /usr/sbin/nginx /bin/sh; nginx -c 'sh -c :; :'",
        "cover /usr/sbin; program /usr/sbin/nginxx /bin/sh; nginxx -c 'sh -c :; :'",
    ),
    Deed(
        "webserver_exec",
        "cover /usr/sbin; program /usr/sbin/nginx /bin/sh; nginx -c 'true; /bin/true; :'",
        "cover /usr/sbin; program /usr/sbin/nginx /bin/sh; nginx -c 'nginx -c :; :'",
        "/true",
    ),
    Deed(
        "interpreter_shell_spawn",
        'perl -e \'system { "/bin/sh" } "/bin/sh"\'',
        'perl -e \'system "/bin/sh", "-c", ":"\'; sh -i -c :',
    ),
    Deed(
        "net_suspicious_tool_shell",
        "cover /usr/bin; program /usr/bin/nc /bin/sh; nc -c 'sh -c :; :'",
        "cover /usr/bin; program /usr/bin/nc /bin/sh; nc -c '/bin/true; :'; bash -c ': > /dev/null'",
    ),
    Deed(
        "net_suspicious_tool_shell_argument",
        "blank /opt; program /opt/ncat; /opt/ncat -l 4444 -e /bin/sh",
        "blank /opt; program /opt/ncat; /opt/ncat -z localhost 80",
        "/opt/ncat",
    ),
]

EXAMPLES = [
    Deed(
        "exec_example",
        "cover /usr/sbin; blank /opt; program /usr/sbin/sshd /bin/sh; program /opt/raqib_example\n"
        "sshd -c 'sh -c \"/opt/raqib_example; :\"; :'",
        "blank /opt; program /opt/raqib_example; /opt/raqib_example",
        "/opt/raqib_example",
    ),
]

DEEDS = [*CODE, *TOOLS, *SHELLS, *EXAMPLES]


@pytest.mark.parametrize("deed", DEEDS, ids=[deed.recipe for deed in DEEDS])
def test_the_deed_is_seen_and_its_near_miss_is_not(deed: Deed, stage: Stage) -> None:
    stage.prove(deed)
