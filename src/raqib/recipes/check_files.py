"""Which actions on which files: `file_actions`, their modifiers, and patterns."""

from __future__ import annotations

from raqib.model.actions import ACTION_MACROS, ACTION_NAMES, ALL_ACTIONS, NO_ACTIONS, FileAction, action_names
from raqib.recipes.reader import At, Reader
from raqib.recipes.spec import FilePart, Pattern

FILE_FIELDS = ("file_actions", "file_actions_how", "file_actions_excl", "bases", "base", "dir", "regex")

_PATTERN_FIELDS = ("base", "dir", "regex")
_PATTERN_SLIPS = {
    "pattern": "the expression of a file pattern is called regex",
    "path": "write dir and base, or regex",
    "name": "the last component is called base",
    "directory": "it is called dir",
}
_KNOWN_ACTIONS = {**ACTION_NAMES, **ACTION_MACROS}
_ACTION_SLIPS = {
    "write_related": "there is no such macro: modify_related has create, link, write, truncate, fsync, rename, unlink",
    "exec": "it is called execve",
    "execute": "it is called execve",
    "delete": "it is called unlink",
    "remove": "it is called unlink",
    "seek": "it is called llseek",
    "lseek": "it is called llseek",
    "async": "it is called fasync",
    "mkdir": "it counts as create",
    "symlink": "it counts as create",
    "mknod": "it counts as create",
    "rmdir": "it counts as unlink",
    "all": "every action is called any; one that needs all of them says file_actions_how: all",
}


def check_file_part(reader: Reader, fields: dict[str, At], whole: At) -> FilePart:
    """Return what a recipe's fields say about files; what is wrong is noted in the reader."""
    actions = check_actions(reader, fields.get("file_actions"), ALL_ACTIONS)
    excluded = check_actions(reader, fields.get("file_actions_excl"), NO_ACTIONS)
    how = reader.choice(fields.get("file_actions_how"), ("any", "all")) or "any"
    if actions and not actions & ~excluded:
        named = " ".join(action_names(actions))
        reader.error(fields["file_actions_excl"], f"expected to leave some action, found that all go: {named}")
    patterns = [
        _check_pattern(reader, entry, reader.fields(entry, _PATTERN_FIELDS, _PATTERN_SLIPS))
        for entry in reader.entries(fields.get("bases"))
    ]
    direct = {name: fields[name] for name in _PATTERN_FIELDS if name in fields}
    if direct:
        patterns.append(_check_pattern(reader, whole, direct))
    return FilePart(actions & ~excluded, how == "all", tuple(pattern for pattern in patterns if pattern is not None))


def check_actions(reader: Reader, at: At | None, default: FileAction) -> FileAction:
    """Return a set of actions given by names and macros."""
    if at is None:
        return default
    result = NO_ACTIONS
    for text, place in reader.texts(at):
        word = reader.word(text, place, _KNOWN_ACTIONS, _ACTION_SLIPS)
        if word is not None:
            result |= _KNOWN_ACTIONS[word]
    return result


def _check_pattern(reader: Reader, at: At, fields: dict[str, At]) -> Pattern | None:
    base = _name(reader, fields.get("base"))
    directory = _name(reader, fields.get("dir"))
    regex = reader.expression(fields.get("regex"))
    if base is not None and b"/" in base:
        reader.warning(fields["base"], "expected a last component, found a slash: this never matches; add dir")
    if directory is not None:
        if not directory.startswith(b"/"):
            reader.warning(fields["dir"], "expected an absolute directory: this never matches")
        directory = directory.rstrip(b"/") or b"/"
    if base is None and directory is None and regex is None:
        if not reader.failed:
            reader.error(at, "expected base, dir or regex, found none of them; leave bases out to mean any file")
        return None
    return Pattern(base, directory, regex)


def _name(reader: Reader, at: At | None) -> bytes | None:
    text = reader.text(at)
    return None if text is None else text.encode()
