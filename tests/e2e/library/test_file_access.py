"""The built-in recipes about files, each on the live kernel: what it is for, and what is almost that."""

from __future__ import annotations

import pytest

from tests.e2e.library.stage import Deed, Stage

AUTHENTICATION = [
    Deed(
        "pam_config_modification",
        "cover /etc; mkdir -p /etc/pam.d; echo '# nothing' >> /etc/pam.d/sshd",
        "cat /etc/pam.d/*",
        "/etc/pam.d/sshd",
    ),
    Deed(
        "sudoers_modification",
        "cover /etc; mkdir -p /etc/sudoers.d; echo '# nothing' > /etc/sudoers.d/99-raqib",
        "cover /etc; echo '# nothing' > /etc/sudo.conf; cat /etc/sudoers || :",
        "/etc/sudoers.d/99-raqib",
    ),
    Deed(
        "ssh_auth_keys_modification",
        "blank /root; mkdir /root/.ssh; echo key > /root/new; mv /root/new /root/.ssh/authorized_keys",
        "blank /root; mkdir /root/.ssh; echo key > /root/.ssh/known_hosts",
        "/root/.ssh/authorized_keys",
    ),
    Deed(
        "auth_logs_tamper",
        "blank /var/log; echo login > /var/log/wtmp; rm /var/log/wtmp",
        "blank /var/log; echo login >> /var/log/wtmp; cat /var/log/wtmp",
        "/var/log/wtmp",
    ),
    Deed(
        "auth_logs_forged",
        "blank /var/log; echo line >> /var/log/auth.log",
        "cover /usr/sbin; blank /var/log; program /usr/sbin/rsyslogd /bin/sh\n"
        "/usr/sbin/rsyslogd -c 'echo line >> /var/log/auth.log'",
        "/var/log/auth.log",
    ),
    Deed(
        "capabilities_modification",
        "cover /etc; mkdir -p /etc/security; echo '# nothing' >> /etc/security/capability.conf",
        "cat /etc/security/capability.conf || :",
        "/etc/security/capability.conf",
    ),
    Deed(
        "capabilities_modification_setcap",
        "blank /opt; program /opt/setcap; /opt/setcap cap_setuid+ep /opt/nothing",
        "blank /opt; program /opt/getcap; /opt/getcap /opt/nothing",
        "/opt/setcap",
    ),
]

MAP = """"$PYTHON" -c '
import mmap, sys
with open(sys.argv[1]) as file:
    mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ).close()
'"""

CODE = [
    Deed(
        "binary_self_deletion",
        "blank /opt; program /opt/dropper /usr/bin/perl; /opt/dropper -e 'unlink shift or die' /opt/dropper",
        "blank /opt; program /opt/dropper /usr/bin/perl; /opt/dropper -e 1; rm /opt/dropper",
        "/opt/dropper",
    ),
    Deed(
        "crypto_miner_files",
        "blank /opt; echo miner > /opt/xmrig",
        "blank /opt; echo notes > /opt/xmrig-notes.txt; cat /opt/xmrig || :",
        "/opt/xmrig",
    ),
    Deed(
        "global_shlib_modification_preload",
        "cover /etc; : > /etc/ld.so.preload",
        "cat /etc/ld.so.conf",
        "/etc/ld.so.preload",
    ),
    Deed(
        "global_shlib_modification",
        "cover /usr/lib; echo library > /usr/lib/libssl.so.9",
        "cover /usr/lib; echo library > /usr/lib/libraqib.so.1",
        "/usr/lib/libssl.so.9",
    ),
    Deed(
        "java_debug_lib_load",
        f"blank /opt; program /opt/libjdwp.so; {MAP} /opt/libjdwp.so",
        "blank /opt; program /opt/libjdwp.so; cat /opt/libjdwp.so > /dev/null",
        "/opt/libjdwp.so",
    ),
    Deed(
        "java_instrument_lib_load",
        f"blank /opt; program /opt/libinstrument.so; {MAP} /opt/libinstrument.so",
        "blank /opt; program /opt/libinstrument.so; cat /opt/libinstrument.so > /dev/null",
        "/opt/libinstrument.so",
    ),
    Deed(
        "package_repo_config_modification",
        "cover /etc; mkdir -p /etc/apt/sources.list.d; echo '# nothing' > /etc/apt/sources.list.d/raqib.list",
        "cat /etc/apt/sources.list /etc/apt/sources.list.d/* || :",
        "/etc/apt/sources.list.d/raqib.list",
    ),
    Deed(
        "shell_config_modification",
        "cover /etc; mkdir -p /etc/profile.d; echo '# nothing' > /etc/profile.d/zz-raqib.sh",
        "bash --login -c :",
        "/etc/profile.d/zz-raqib.sh",
    ),
    Deed(
        "shell_config_modification_user",
        "blank /root; echo '# nothing' >> /root/.bashrc",
        "cover /usr/sbin; blank /root; program /usr/sbin/useradd /bin/sh\n"
        "/usr/sbin/useradd -c 'echo > /root/.bashrc'; echo > /root/.bash_history",
        "/root/.bashrc",
    ),
]

# What the near miss itself has to make is made by a program that may: a copy of a shell under its name.
CREDENTIALS = [
    Deed(
        "reading_of_ssh_keys",
        "blank /root; mkdir /root/.ssh; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519\n"
        "cat /root/.ssh/id_ed25519",
        "blank /root; mkdir /root/.ssh; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519\n"
        "cat /root/.ssh/id_ed25519.pub",
        "/root/.ssh/id_ed25519",
    ),
    Deed(
        "credentials_files_access",
        "blank /root; mkdir /root/.aws; echo keys > /root/secret; cp /root/secret /root/.aws/credentials",
        "cover /usr/bin; blank /root; mkdir /root/.kube; program /usr/bin/kubectl /bin/sh\n"
        "/usr/bin/kubectl -c 'echo token > /root/.kube/config; read line < /root/.kube/config'; cat .git/config || :",
        "/root/.aws/credentials",
    ),
    Deed(
        "credentials_files_access_browser",
        "blank /root; mkdir -p /root/.mozilla/firefox/x; echo '{}' > /root/.mozilla/firefox/x/logins.json",
        "cover /usr/bin; blank /root; mkdir -p /root/.mozilla/firefox/x; program /usr/bin/firefox /bin/sh\n"
        "/usr/bin/firefox -c 'echo > /root/.mozilla/firefox/x/logins.json'; echo > /root/.mozilla/firefox/x/prefs.js",
        "/logins.json",
    ),
    Deed(
        "credentials_files_access_shadow",
        'ln -s /etc/shadow "$STAGE/harmless"; head -c 1 "$STAGE/harmless"',
        "cover /usr/sbin; program /usr/sbin/unix_chkpwd /bin/cat; /usr/sbin/unix_chkpwd /etc/shadow; cat /etc/passwd",
        "/etc/shadow",
    ),
    Deed(
        "ssl_certificate_access",
        "cover /etc; mkdir -p /etc/ssl/private; echo key > /etc/ssl/private/raqib.key",
        "cover /etc; cover /usr/sbin; mkdir -p /etc/ssl/private; program /usr/sbin/nginx /bin/sh\n"
        "/usr/sbin/nginx -c 'echo key > /etc/ssl/private/raqib.key'; cat /etc/ssl/certs/* > /dev/null || :",
        "/etc/ssl/private/raqib.key",
    ),
    Deed(
        "environ_read_from_procfs",
        "cat /proc/$$/environ",
        "cat /proc/$$/status; \"$PYTHON\" -c 'import sys; open(sys.argv[1]).read()' /proc/$$/environ",
        "/environ",
    ),
]

DISCOVERY = [
    Deed("cpu_fingerprint", "cat /proc/cpuinfo", '"$PYTHON" -c \'open("/proc/cpuinfo").read()\''),
    Deed("filesystem_fingerprint", "cat /proc/mounts", 'df /; "$PYTHON" -c \'open("/proc/mounts").read()\''),
    Deed(
        "machine_fingerprint",
        "cover /etc; echo id > /etc/machine-id; cat /etc/machine-id",
        'cover /etc; echo id > /etc/machine-id; "$PYTHON" -c \'open("/etc/machine-id").read()\'',
        "/etc/machine-id",
    ),
    Deed("os_fingerprint", "cat /etc/os-release", ". /etc/os-release; cat /etc/hostname"),
    Deed(
        "os_fingerprint_from_unusual_place",
        "blank /dev/shm; program /dev/shm/stage1 /bin/cat; /dev/shm/stage1 /etc/os-release",
        "blank /opt; program /opt/agent /bin/cat; /opt/agent /etc/os-release",
    ),
    Deed("os_network_fingerprint", "cat /proc/net/tcp", "getent hosts localhost"),
    Deed("os_status_fingerprint", "cat /proc/uptime", 'uptime; "$PYTHON" -c \'open("/proc/uptime").read()\''),
    Deed(
        "os_status_fingerprint_symbols",
        "grep -m 1 . /proc/kallsyms",
        '"$PYTHON" -c \'open("/proc/kallsyms").readline()\'; cat /proc/filesystems',
    ),
    Deed(
        "os_status_fingerprint_memory",
        "stand_in /proc/kcore; : < /proc/kcore",
        "blank /opt; : > /opt/kcore; cat /opt/kcore /proc/version",
        "/proc/kcore",
    ),
    Deed(
        "sched_debug_access",
        "blank /sys/kernel/debug; mkdir /sys/kernel/debug/sched; : > /sys/kernel/debug/sched/debug",
        "cat /proc/$$/sched || :; blank /sys/kernel/debug; : > /sys/kernel/debug/sched_features",
        "/sys/kernel/debug/sched/debug",
    ),
]

# Nothing is ever written to the kernel: its files are opened for reading, and what is written lies in a tmpfs.
KERNEL = [
    Deed(
        "sysrq_access",
        "stand_in /proc/sysrq-trigger; : < /proc/sysrq-trigger",
        ": < /proc/uptime",
        "/proc/sysrq-trigger",
    ),
    Deed(
        "sysrq_setting_access",
        "stand_in /proc/sys/kernel/sysrq; : < /proc/sys/kernel/sysrq",
        "stand_in /proc/sys/kernel/sysrq; cover /usr/sbin; program /usr/sbin/sysctl /bin/cat\n"
        "/usr/sbin/sysctl /proc/sys/kernel/sysrq",
        "/proc/sys/kernel/sysrq",
    ),
    Deed(
        "core_pattern_access",
        ": < /proc/sys/kernel/core_pattern",
        "cover /usr/sbin; program /usr/sbin/sysctl /bin/cat; /usr/sbin/sysctl /proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/core_pattern",
    ),
    Deed(
        "core_pattern_modification",
        "cover /usr/sbin; program /usr/sbin/sysctl /bin/sh; blank /proc/sys/kernel\n"
        '[ tmpfs = "$(stat -f -c %T /proc/sys/kernel)" ]\n'
        "/usr/sbin/sysctl -c 'echo core > /proc/sys/kernel/core_pattern'",
        "cover /usr/sbin; program /usr/sbin/sysctl /bin/cat; /usr/sbin/sysctl /proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/core_pattern",
    ),
    Deed(
        "cgroup_release_agent_modification",
        "blank /opt; echo /bin/true > /opt/release_agent",
        "blank /opt; echo > /opt/agent; mv /opt/agent /opt/release_agent; cat /opt/release_agent",
        "/opt/release_agent",
    ),
    Deed(
        "code_modification_through_procfs",
        '"$PYTHON" -c \'\n'
        "import ctypes\n"
        'own = ctypes.create_string_buffer(b"before")\n'
        'with open("/proc/self/mem", "r+b", buffering=0) as memory:\n'
        "    memory.seek(ctypes.addressof(own))\n"
        '    memory.write(b"after!")\n'
        'assert own.value == b"after!"\'',
        '"$PYTHON" -c \'\n'
        "import ctypes\n"
        'own = ctypes.create_string_buffer(b"before")\n'
        'with open("/proc/self/mem", "rb", buffering=0) as memory:\n'
        "    memory.seek(ctypes.addressof(own))\n"
        '    assert memory.read(6) == b"before"\'',
        "/mem",
    ),
    Deed(
        "unprivileged_bpf_config_access",
        "stand_in /proc/sys/kernel/unprivileged_bpf_disabled; : < /proc/sys/kernel/unprivileged_bpf_disabled",
        "stand_in /proc/sys/kernel/unprivileged_bpf_disabled; cover /usr/sbin; program /usr/sbin/bpftool /bin/cat\n"
        "/usr/sbin/bpftool /proc/sys/kernel/unprivileged_bpf_disabled; cat /proc/sys/kernel/ostype",
        "/proc/sys/kernel/unprivileged_bpf_disabled",
    ),
    Deed(
        "runc_binary_modification",
        "cover /usr/bin; cover /usr/sbin; echo nothing > /usr/bin/runc",
        "cover /usr/bin; cover /usr/sbin; echo nothing > /usr/bin/runcc; cat /usr/bin/runc || :",
        "/usr/bin/runc",
    ),
]

EXAMPLES = [
    Deed(
        "file_example",
        "blank /tmp; setpriv --reuid 65534 --clear-groups sh -c 'echo > /tmp/raqib_example'",
        "blank /tmp; echo > /tmp/raqib_example; setpriv --reuid 65534 --clear-groups cat /tmp/raqib_example",
        "/tmp/raqib_example",
    ),
]

DEEDS = [*AUTHENTICATION, *CODE, *CREDENTIALS, *DISCOVERY, *KERNEL, *EXAMPLES]


@pytest.mark.parametrize("deed", DEEDS, ids=[deed.recipe for deed in DEEDS])
def test_the_deed_is_seen_and_its_near_miss_is_not(deed: Deed, stage: Stage) -> None:
    stage.prove(deed)
