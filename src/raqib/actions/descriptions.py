"""What each helper is, in words: for the reference page and for editors. Every example is run by a test."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Description(NamedTuple):
    """One helper."""

    summary: str
    result: str
    """What it returns, and when."""
    errors: str
    """What its error value may stand for."""
    example: str
    """A body of `process(data)`."""
    prints: str
    """What the example logs."""
    type: str = "number"
    """Of the result, in TypeScript."""


_KILL = "0: killed. 1: already gone, or its pid is another process's now. -1: not killed"
_KILL_ERRORS = (
    "the event has no process; a guard (pid 1, kernel threads, raqib, its workers and ancestors, protected programs);"
    " the recipe's budget; not gone within 1 s"
)
_WRITE_ERRORS = (
    "outside `write_paths`; raqib's own files; evidence that was collected; a symbolic link on the way; no regular"
    " file; too large; the recipe's budget is used up; too little free space; the filesystem is full or read-only"
)
_READ_ERRORS = "raqib's own data; no such file; no regular file; too large; not permitted"
_STORE_ERRORS = "a limit of size; the key holds the other kind (text or list)"
_OK = "0: done. -1: not done"
_NETWORK = (
    "network policy is not enabled; a guard (loopback, own addresses, gateways, resolvers, protected or too wide"
    " networks, single labels); no remote addresses or names; the recipe's budget"
)

_KILLS = {
    "KillCurrent": Description(
        "Kills the process that triggered the event and waits until it is gone, at most 1 s.",
        _KILL,
        _KILL_ERRORS,
        "Info(KillCurrent(), KillCurrent(), Errno() !== '');",
        "0 1 true",
    ),
    "KillParent": Description(
        "Kills the parent that the process had at the time of the event.",
        _KILL,
        f"the parent is not known; {_KILL_ERRORS}",
        "if (KillParent() < 0) Warn('the parent lives: ' + Errno()); else Info('done');",
        "done",
    ),
    "KillProcess": Description(
        "Kills a process by its pid: one that occurs in the event is that very process, any other must have started"
        " before the event.",
        _KILL,
        f"below `min_pid`; started after the event; {_KILL_ERRORS}",
        "const parent = data.process.ppid;\nInfo(KillProcess(parent), KillProcess(1), Errno());",
        "0 -1 pid 1 is below min_pid (500)",
    ),
    "KillTree": Description(
        "Kills the process and all its descendants, stopped first so that none escapes by forking. Each counts in the"
        " budget; protected ones are left alone, with what is below them.",
        "The number of processes killed; `Errno()` says which were left. -1: none",
        f"the process is already gone; {_KILL_ERRORS}",
        "Info(KillTree() >= 1, Errno());",
        "true ",
    ),
}

_NET = {
    "NetBlockIp": Description(
        "Blocks an address or a range; without argument every remote address in the flows of the event's process.",
        "0: blocked. 1: all were blocked already. -1: not blocked",
        _NETWORK,
        "if (NetBlockIp('198.51.100.7') < 0) Error(Errno());\nInfo(NetBlockIp('198.51.100.7'));",
        "1",
    ),
    "NetUnblockIp": Description(
        "Takes off a block that a reaction or an administrator set at run time.",
        "0: taken off. 1: it was not blocked. -1: not taken off",
        _NETWORK,
        "NetBlockIp('198.51.100.8');\nInfo(NetUnblockIp('198.51.100.8'), NetUnblockIp('198.51.100.8'));",
        "0 1",
    ),
    "NetBlockIpTimer": Description(
        "Blocks an address or a range for so many seconds; the block ends by itself.",
        "0: blocked. 1: it was blocked already. -1: not blocked",
        _NETWORK,
        "Info(NetBlockIpTimer('203.0.113.0/24', 60));",
        "0",
    ),
    "NetBlockDomain": Description(
        "Blocks the resolution of a name, and the addresses that it resolves to; without argument every remote name in"
        " the flows.",
        "0: blocked. 1: it was blocked already. -1: not blocked",
        _NETWORK,
        "Info(NetBlockDomain('bad.example.com'));",
        "0",
    ),
    "NetUnblockDomain": Description(
        "Takes off the block of a name.",
        "0: taken off. 1: it was not blocked. -1: not taken off",
        _NETWORK,
        "NetBlockDomain('worse.example.com');\nInfo(NetUnblockDomain('worse.example.com'));",
        "0",
    ),
    "NetBlockDomainTimer": Description(
        "Blocks a name for so many seconds.",
        "0: blocked. 1: it was blocked already. -1: not blocked",
        _NETWORK,
        "Info(NetBlockDomainTimer('once.example.com', 60));",
        "0",
    ),
}

_FILES = {
    "ReadFile": Description(
        "Reads a regular file, of procfs too; what is not UTF-8 is replaced. Never waits for anybody.",
        'The contents, `""` on error; an empty file is `""` without a reason in `Errno()`',
        _READ_ERRORS,
        "Info(ReadFile(`/proc/${data.process.pid}/comm`).trim());\nInfo(ReadFile('/dev/zero') === '', Errno());",
        "sleep\ntrue /dev/zero: expected a regular file",
        "string",
    ),
    "WriteFile": Description(
        "Writes a file of mode 0600 in the place of whatever has that name; missing directories are made.",
        _OK,
        _WRITE_ERRORS,
        "const dir = CreateTempDir();\nInfo(WriteFile(`${dir}/new/note`, data.process.exe));\n"
        "Info(WriteFile('/etc/passwd', ''), Errno() !== '');\nRemoveDir(dir);",
        "0\n-1 true",
    ),
    "AppendFile": Description(
        "Adds to the end of a file, which is made if it is not there.",
        _OK,
        f"the file has several names, or is another user's where others can lay files; {_WRITE_ERRORS}",
        "const dir = CreateTempDir();\nAppendFile(`${dir}/seen`, 'one\\n');\nAppendFile(`${dir}/seen`, 'two\\n');\n"
        "Info(ReadFile(`${dir}/seen`).split('\\n').length);\nRemoveDir(dir);",
        "3",
    ),
    "Stat": Description(
        "Tells what a file is.",
        "`size` in bytes, `mode` as `-rw-r--r--`, `modTime` in RFC 3339, `isDir`; null on error",
        "no such file; not permitted",
        "const status = Stat('/etc/passwd');\nInfo(status.mode, status.isDir, Stat('/nowhere'));",
        "-rw-r--r-- false null",
        "{ size: number; mode: string; modTime: string; isDir: boolean } | null",
    ),
    "HashFile": Description(
        "Hashes a file. `exe` stands for the current process's program, which can be read even if it was deleted.",
        '64 hexadecimal digits, `""` on error',
        f"the process is already gone; {_READ_ERRORS}",
        "Info(HashFile('exe') === HashFile(data.process.exe), HashFile('/dev/null'), Errno());",
        "true  /dev/null: expected a regular file",
        "string",
    ),
    "CopyFile": Description(
        "Copies a file, under its own name and with mode 0600, to a directory below `write_paths`.",
        _OK,
        f"{_READ_ERRORS}; {_WRITE_ERRORS}",
        "const dir = CreateTempDir();\nInfo(CopyFile(data.process.exe, dir));\n"
        "Info(HashFile(`${dir}/sleep`) === HashFile('exe'));\nRemoveDir(dir);",
        "0\ntrue",
    ),
    "CollectEvidence": Description(
        "Keeps what is known of the process below the evidence directory: its program (also if deleted), maps,"
        " descriptors, sockets, environment (redacted), ancestry, the event, and a manifest with the hash of each.",
        'The directory, `""` on error; `Errno()` says what is missing in it',
        "the recipe's budget is used up; too much evidence already; too little free space; the filesystem is full",
        "const dir = CollectEvidence();\nconst manifest = JSON.parse(ReadFile(`${dir}/manifest.json`));\n"
        "Info(manifest.files[0].name, manifest.files[0].sha256 === HashFile('exe'));\nRemoveDir(dir);",
        "program true",
        "string",
    ),
    "CreateTempDir": Description(
        "Makes a directory of mode 0700 directly below /tmp, which is kept until it is removed. The pattern of its name"
        " ends in `*`.",
        'The path, `""` on error',
        "a pattern that is none; the filesystem is full",
        "const dir = CreateTempDir('case-*');\nInfo(dir.startsWith('/tmp/case-'), Stat(dir).mode);\n"
        "Info(CreateTempDir('/etc/x*') === '');\nRemoveDir(dir);",
        "true drwx------\ntrue",
        "string",
    ),
    "RemoveDir": Description(
        "Removes a directory that CreateTempDir or CollectEvidence made for the same recipe, with all that is in it.",
        _OK,
        "another directory, or another recipe's; a symbolic link on the way; a mount in it; already gone",
        "const dir = CreateTempDir();\nInfo(RemoveDir(dir), RemoveDir('/var/tmp'), Errno() !== '');",
        "0 -1 true",
    ),
}

_DATA = {
    "DataSet": Description(
        "Gives a key of the recipe's own data a text, for `ttlSeconds` or for ever. It is on the disk when it returns.",
        _OK,
        _STORE_ERRORS,
        "DataSet('last', data.process.exe, 3600);\nInfo(DataGet('last') === data.process.exe);",
        "true",
    ),
    "DataGet": Description(
        "Returns the text of a key.",
        'The text, `""` if there is no such key',
        "no such key; the key holds a list",
        "DataSet('a', '1');\nInfo(DataGet('a'), DataGet('b') === '', Errno());",
        "1 true no such key",
        "string",
    ),
    "DataDelete": Description(
        "Removes a key; a list whole.",
        "0: it is not there (any more). -1: not done",
        "the ledger or the store cannot be written",
        "DataSet('a', '1');\nInfo(DataDelete('a'), DataDelete('a'), DataHasKey('a'));",
        "0 0 false",
    ),
    "DataPush": Description(
        "Adds a text to the end of a list; without a key to the list of the key `default`.",
        _OK,
        _STORE_ERRORS,
        "DataPush('pids', String(data.process.pid));\nDataPush('one');\nDataPush('two');\nInfo(DataKeys());",
        '["default","pids"]',
    ),
    "DataPop": Description(
        "Takes off the last text of a list. An emptied list vanishes.",
        'The text, `""` if the list is empty',
        "the list is empty; the key holds a text",
        "DataPush('one');\nDataPush('two');\nInfo(DataPop(), DataPop(), DataPop() === '', DataSize());",
        "two one true 0",
        "string",
    ),
    "DataKeys": Description(
        "Returns all keys, in order.",
        "A **string** that holds a JSON array",
        "more than 1 MiB",
        "DataSet('b', '');\nDataSet('a', '');\nfor (const key of JSON.parse(DataKeys())) Info(key);",
        "a\nb",
        "string",
    ),
    "DataValues": Description(
        "Returns what all keys hold, in the order of the keys; a list as an array.",
        "A **string** that holds a JSON array",
        "more than 1 MiB",
        "DataSet('a', '1');\nDataPush('b', '2');\nInfo(DataValues());",
        '["1",["2"]]',
        "string",
    ),
    "DataClear": Description(
        "Removes all keys of the recipe, lists included.",
        "0: done. -1: not done",
        "the ledger or the store cannot be written",
        "DataSet('a', '1');\nInfo(DataClear(), DataSize());",
        "0 0",
    ),
    "DataSize": Description(
        "Returns the number of keys; a list is one.",
        "The number, -1 on error",
        "the store cannot be read",
        "DataPush('a');\nDataPush('b');\nInfo(DataSize());",
        "1",
    ),
    "DataIsEmpty": Description(
        "Tells whether there are no keys.",
        "true or false",
        "the store cannot be read",
        "Info(DataIsEmpty());\nDataSet('a', '');\nInfo(DataIsEmpty());",
        "true\nfalse",
        "boolean",
    ),
    "DataHasKey": Description(
        "Tells whether there is such a key.",
        "true or false",
        "the store cannot be read",
        "DataSet('a', '');\nInfo(DataHasKey('a'), DataHasKey('b'));",
        "true false",
        "boolean",
    ),
    "DataHasValue": Description(
        "Tells whether a key, or a list, holds that text.",
        "true or false",
        "the store cannot be read",
        "DataPush('seen', data.process.exe);\nInfo(DataHasValue(data.process.exe), DataHasValue('x'));",
        "true false",
        "boolean",
    ),
    "DataIncr": Description(
        "Adds to a number, 1 if nothing else is said, as one step also between reactions that run in parallel. Without"
        " `ttlSeconds` the key keeps the end that it has.",
        "The new number, NaN on error",
        f"the key holds no number; the sum is too large; {_STORE_ERRORS}",
        "Info(DataIncr('seen'), DataIncr('seen', 2.5), DataGet('seen'));",
        "1 3.5 3.5",
    ),
    "SharedSet": Description(
        "As DataSet, in the data that all recipes share.",
        _OK,
        _STORE_ERRORS,
        "SharedSet('last', name, 60);\nInfo(SharedGet('last') === name, DataHasKey('last'));",
        "true false",
    ),
    "SharedGet": Description(
        "As DataGet, in the data that all recipes share.",
        'The text, `""` if there is no such key',
        "no such key",
        "SharedSet('stage', 'two');\nif (SharedGet('stage') === 'two') Info('seen before');",
        "seen before",
        "string",
    ),
    "SharedIncr": Description(
        "As DataIncr, in the data that all recipes share.",
        "The new number, NaN on error",
        f"the key holds no number; {_STORE_ERRORS}",
        "SharedDelete('hits');\nInfo(SharedIncr('hits', 1, 600));",
        "1",
    ),
    "SharedDelete": Description(
        "As DataDelete, in the data that all recipes share.",
        "0: it is not there (any more). -1: not done",
        "the ledger or the store cannot be written",
        "SharedSet('a', '1');\nInfo(SharedDelete('a'), SharedGet('a') === '');",
        "0 true",
    ),
}

_OTHERS = {
    "Notify": Description(
        "Makes an event of its own, of the type `notify`, which goes to all printers.",
        _OK,
        "more than 100 in one execution; fields that take more than 64 KiB",
        "Info(Notify('miner seen', { exe: data.process.exe, times: DataIncr('seen') }));",
        "0",
    ),
    "PowerOff": Description(
        "Switches the host off at once. Needs `emergency.enabled` and its name in `emergency.helpers`; the ledger is on"
        " the disk first.",
        "Nothing, as a rule: the host is off. 0 in a dry run. -1: refused",
        "switched off by the configuration; the ledger cannot be written",
        "if (PowerOff() < 0) Info(Errno());",
        "emergency helpers are switched off (emergency.enabled)",
    ),
    "Panic": Description(
        "Has the kernel panic, for a dump or a restart as the host is set up. Needs `emergency.enabled` and its name in"
        " `emergency.helpers`; the ledger is on the disk first.",
        "Nothing, as a rule: the host is down. 0 in a dry run. -1: refused",
        "switched off by the configuration; the ledger cannot be written",
        "if (Panic() < 0) Info(Errno());",
        "emergency helpers are switched off (emergency.enabled)",
    ),
}

SECTIONS: Mapping[str, Mapping[str, Description]] = MappingProxyType(
    {"Processes": _KILLS, "Network": _NET, "Files": _FILES, "Data": _DATA, "Others": _OTHERS}
)
"""All helpers, in the order of the page."""
