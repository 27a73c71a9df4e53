"""Helpers that make and remove directories."""

from __future__ import annotations

import os
import secrets
from pathlib import Path, PurePosixPath

from raqib.actions.context import ActionContext, Services
from raqib.actions.created import CreatedDirectories
from raqib.actions.declare import (
    DONE_OR_NOT,
    Argument,
    Arguments,
    Checked,
    Description,
    Done,
    Failed,
    Helper,
    Plan,
    Refused,
    Result,
    Undo,
)
from raqib.actions.helpers.files import problem
from raqib.actions.write_guards import PARENT_MODE, check_space
from raqib.errors import RaqibError
from raqib.host.opening import open_without_links
from raqib.host.removal import RemovalError, check_contents, remove_contents
from raqib.ledger.chain import Entry

DEFAULT_PATTERN = "reaction-*"

_MAX_PREFIX_BYTES = 200
_FLAGS = os.O_RDONLY | os.O_DIRECTORY


def _create_temp_dir(context: ActionContext, arguments: Arguments) -> Checked:
    services, created = context.services, context.services.created
    prefix = _prefix(arguments[0] if arguments else DEFAULT_PATTERN, services.places.temp_dir)
    if isinstance(prefix, Failed):
        return prefix
    name = prefix + secrets.token_hex(8)
    path = str(services.places.temp_dir / name)
    if context.dry_run:
        created.add_dry(path, context.recipe)

    def do() -> Result:
        try:
            parent = open_without_links(None, str(services.places.temp_dir), _FLAGS)
            try:
                check_space(parent, services)
                make_directory(context, parent, name, path)
            finally:
                os.close(parent)
        except (OSError, RaqibError) as error:
            return problem(path, error)
        return Done(path)

    return Plan(do, would=path, details={"path": path})


def make_directory(context: ActionContext, parent: int, name: str, path: str) -> None:
    """Make a directory of mode 0700, and note it as one that RemoveDir may remove. Raises OSError or RaqibError."""
    os.mkdir(name, PARENT_MODE, dir_fd=parent)
    try:
        descriptor = open_without_links(parent, name, _FLAGS)
        try:
            context.services.created.add(path, descriptor, context.recipe)
        finally:
            os.close(descriptor)
    except BaseException:
        os.rmdir(name, dir_fd=parent)
        raise


def _prefix(pattern: str, temp_dir: Path) -> str | Failed:
    """Return what a name is to begin with."""
    prefix = pattern.removeprefix(f"{temp_dir}/")
    if not prefix.endswith("*") or "*" in (prefix := prefix[:-1]) or "/" in prefix:
        return Failed(f"pattern: expected a name that ends in its only *, in {temp_dir}, got {pattern!r}")
    if prefix in (".", ".."):
        return Failed(f"pattern: expected a name of more than dots, got {pattern!r}")
    if len(prefix.encode()) > _MAX_PREFIX_BYTES:
        return Failed(f"pattern: expected at most {_MAX_PREFIX_BYTES} bytes")
    return prefix


def _remove_dir(context: ActionContext, arguments: Arguments) -> Checked:
    path: str = arguments[0]
    created = context.services.created
    if context.dry_run and created.forget_dry(path, context.recipe):
        return Plan(lambda: Done(0), would=0)
    return _removal(created, path, context.recipe)


def _undo_create(services: Services, entry: Entry) -> Result:
    plan = _removal(services.created, entry.arguments["path"], None)
    if not isinstance(plan, Plan):
        return plan
    try:
        result = plan.do()
    finally:
        plan.release()
    assert isinstance(result, Done | Refused | Failed)  # noqa: S101 -- it is no action of the event loop
    return result


def _removal(created: CreatedDirectories, path: str, recipe: str | None) -> Checked:
    """Plan to remove a directory that a recipe created, None for whichever: none destroys what another collected."""
    pure = PurePosixPath(path)
    if str(pure) != path or not pure.is_absolute() or ".." in pure.parts or not pure.name:
        return Refused("expected an absolute path of a directory without . and .. in it")
    try:
        parent = open_without_links(None, str(pure.parent), _FLAGS)
    except OSError as error:
        return problem(path, error)
    try:
        directory = open_without_links(parent, pure.name, _FLAGS)
    except OSError as error:
        os.close(parent)
        return problem(path, error)

    def release() -> None:
        os.close(directory)
        os.close(parent)

    try:
        refused = _refusal(created.creator(path, directory), path, recipe)
        if refused is None:
            check_contents(directory)
    except RemovalError as error:
        refused = Refused(f"{path}: {error}")
    except OSError as error:
        release()
        return problem(path, error)
    if refused is not None:
        release()
        return refused

    def do() -> Result:
        try:
            remove_contents(directory)
            # Somebody may have moved it and put another one in its place.
            now, held = os.stat(pure.name, dir_fd=parent, follow_symlinks=False), os.fstat(directory)
            if (now.st_dev, now.st_ino) != (held.st_dev, held.st_ino):
                return Failed(f"{path}: it was emptied, but is no longer there")
            os.rmdir(pure.name, dir_fd=parent)
            created.forget(path)
        except (OSError, RaqibError) as error:
            return problem(path, error)
        return Done(0)

    return Plan(do, would=0, release=release)


def _refusal(creator: str | None, path: str, recipe: str | None) -> Refused | None:
    expected = f"{path}: expected a directory that CreateTempDir or CollectEvidence created"
    if creator is None:
        return Refused(expected)
    if recipe is not None and creator != recipe:
        found = f", {creator!r} created it" if creator else ""
        return Refused(f"{expected} for this recipe{found}")
    return None


HELPERS = (
    Helper(
        "CreateTempDir",
        (Argument("pattern", "string", optional=True),),
        error='""',
        check=_create_temp_dir,
        place="files",
        undo=Undo("removes it, with all that is in it", _undo_create),
        about=Description(
            summary=(
                "Makes a directory of mode 0700 directly below /tmp, which is kept until it is removed. The pattern"
                " of its name"
                " ends in `*`."
            ),
            result='The path, `""` on error',
            errors="a pattern that is none; the filesystem is full",
            example=(
                "const dir = CreateTempDir('case-*');\nInfo(dir.startsWith('/tmp/case-'), Stat(dir).mode);\n"
                "Info(CreateTempDir('/etc/x*') === '');\nRemoveDir(dir);"
            ),
            prints="true drwx------\ntrue",
            type="string",
        ),
    ),
    Helper(
        "RemoveDir",
        (Argument("path", "string"),),
        check=_remove_dir,
        place="files",
        about=Description(
            summary=(
                "Removes a directory that CreateTempDir or CollectEvidence created for the same recipe, with all"
                " that is in it."
            ),
            result=DONE_OR_NOT,
            errors="another directory, or another recipe's; a symbolic link on the way; a mount in it; already gone",
            example="const dir = CreateTempDir();\nInfo(RemoveDir(dir), RemoveDir('/var/tmp'), Errno() !== '');",
            prints="0 -1 true",
        ),
    ),
)
