"""The helper that keeps what is known of a process while it is still there to be asked."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import msgspec

from raqib.actions.context import ActionContext
from raqib.actions.declare import Arguments, Checked, Description, Done, Failed, Helper, Plan, Refused, Result
from raqib.actions.helpers.copies import copy_and_hash, open_process
from raqib.actions.helpers.directories import make_directory
from raqib.actions.helpers.files import FILE_MODE, open_regular, problem, write_all
from raqib.actions.manifest import MANIFEST, File, Manifest, Missing
from raqib.actions.write_guards import check_space, open_parent
from raqib.errors import RaqibError
from raqib.host.opening import open_without_links
from raqib.host.probing import describe_descriptors, describe_environment, describe_sockets
from raqib.host.removal import remove_contents
from raqib.model.process import Process

_MAX_TEXT_BYTES = 16 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_TEXTS = ("maps", "status", "cmdline", "cgroup", "mountinfo")
"""Files of procfs that are kept as they are."""


def _collect_evidence(context: ActionContext, arguments: Arguments) -> Checked:
    services, uuid = context.services, context.detection.event.uuid
    recipe = re.sub(r"[^A-Za-z0-9_-]", "_", context.recipe)[:60]
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{recipe}-{secrets.token_hex(8)}"
    path = services.places.evidence_dir / name
    if (refused := _refusal(context)) is not None:
        return refused
    if context.dry_run:
        context.services.created.add_dry(str(path), context.recipe)

    def do() -> Result:
        try:
            parent = open_parent(PurePosixPath(path), services, make=True)
            if isinstance(parent, Refused):
                return parent
            try:
                check_space(parent, services)
                make_directory(context, parent, name, str(path))
                try:
                    digest, missing, size = _fill(context, parent, name)
                except BaseException:
                    context.services.created.forget(str(path))
                    raise
            finally:
                os.close(parent)
            context.services.created.note_size(str(path), size)
            context.charge("written_bytes", size)
        except (OSError, RaqibError) as error:
            return problem(str(path), error)
        reason = "; ".join(f"{part.name} is missing: {part.reason}" for part in missing)
        return Done(str(path), reason, {"event": uuid, "manifest_sha256": digest})

    return Plan(do, would=str(path), details={"path": str(path)})


def _refusal(context: ActionContext) -> Refused | None:
    """Return why nothing more is collected. What was collected is never removed for it: it may be what matters."""
    if not context.spend("written_bytes", 0):
        return Refused(context.used_up("written_bytes"))
    limit, recipe = context.services.settings.max_evidence_bytes, context.recipe
    total, own = context.services.created.evidence_bytes(recipe, limit)
    if own and own >= limit // 2:
        return Refused(f"the evidence of {recipe!r} takes {own} bytes, expected fewer than {limit // 2}; remove some")
    if total >= limit:
        return Refused(f"the evidence takes {total} bytes, expected fewer than {limit}; remove some")
    return None


def _fill(context: ActionContext, parent: int, name: str) -> tuple[str, list[Missing], int]:
    """Collect into a new directory; return the manifest's SHA-256, what is missing, and its size in bytes.

    Raises OSError or RaqibError.
    """
    directory = open_without_links(parent, name, _DIRECTORY)
    try:
        collection = _Collection(context, directory)
        try:
            collection.collect()
            return collection.finish(), collection.missing, collection.size
        finally:
            collection.close()
    except BaseException:
        # Without a whole manifest it is no evidence.
        remove_contents(directory)
        os.rmdir(name, dir_fd=parent)
        raise
    finally:
        os.close(directory)


class _Collection:
    """One directory of evidence being filled."""

    def __init__(self, context: ActionContext, directory: int) -> None:
        self._context = context
        self._directory = directory
        self._files: list[File] = []
        # From now on nobody else writes here: a directory with a manifest is evidence (see paths).
        self._manifest = self._create(MANIFEST)
        self.missing: list[Missing] = []
        self.size = 0
        """In bytes, once it is finished."""

    def collect(self) -> None:
        """Put in all there is; what is not there is noted."""
        detection = self._context.detection
        # What the process alone can tell comes first: it may be gone at any moment.
        if not detection.ancestry:
            self.missing.append(Missing("program", "the event has no process"))
        else:
            root = open_process(detection.process.key)
            if isinstance(root, Failed):
                self.missing.append(Missing("program", root.reason))
            else:
                try:
                    self._ask(root)
                finally:
                    os.close(root)
        self._put("event.json", lambda: detection.event_json)
        self._put("ancestry.json", lambda: _json([_describe(process) for process in detection.ancestry]))

    def _ask(self, root: int) -> None:
        self._copy("program", "exe", root, self._context.services.bounds.max_copy_bytes)
        for name in _TEXTS:
            self._copy(name, name, root, _MAX_TEXT_BYTES)
        self._put("descriptors.json", lambda: _json(describe_descriptors(root)))
        self._put("sockets.json", lambda: _json(describe_sockets(root)))
        self._put("environment.json", lambda: _json(describe_environment(root)))

    def finish(self) -> str:
        """Write the manifest and return its SHA-256. Raises OSError."""
        detection = self._context.detection
        manifest = Manifest(
            uuid=detection.event.uuid,
            kind=detection.recipe.kind,
            recipe=detection.recipe.name,
            pid=detection.process.pid if detection.ancestry else None,
            collected=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            files=tuple(self._files),
            missing=tuple(self.missing),
        )
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
        self.size = len(text) + sum(file.size for file in self._files)
        write_all(self._manifest, text)
        os.fsync(self._manifest)
        os.fsync(self._directory)
        return hashlib.sha256(text).hexdigest()

    def close(self) -> None:
        """Let go of the manifest."""
        os.close(self._manifest)

    def _create(self, name: str) -> int:
        return open_without_links(self._directory, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)

    def _copy(self, name: str, source: str, root: int, limit: int) -> None:
        def fill(target: int) -> tuple[int, str]:
            opened = open_regular(source, root)
            if isinstance(opened, Failed):
                raise RaqibError(opened.reason)
            try:
                return copy_and_hash(opened, target, limit)
            finally:
                os.close(opened)

        self._keep(name, fill)

    def _put(self, name: str, make: Callable[[], bytes]) -> None:
        def fill(target: int) -> tuple[int, str]:
            content = make()
            write_all(target, content)
            return len(content), hashlib.sha256(content).hexdigest()

        self._keep(name, fill)

    def _keep(self, name: str, fill: Callable[[int], tuple[int, str]]) -> None:
        descriptor = self._create(name)
        try:
            size, digest = fill(descriptor)
            os.fdatasync(descriptor)
        except (OSError, RaqibError) as error:
            os.unlink(name, dir_fd=self._directory)
            self.missing.append(
                Missing(name, str(error.strerror or error) if isinstance(error, OSError) else str(error))
            )
        else:
            self._files.append(File(name, size, digest))
        finally:
            os.close(descriptor)


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


def _describe(process: Process) -> dict[str, Any]:
    def text(raw: bytes) -> str:
        return raw.decode("utf-8", "replace")

    return {
        "pid": process.pid,
        "start_ns": process.key.start_ns,
        "ppid": process.parent.pid or process.ppid,
        "uid": process.uid,
        "gid": process.gid,
        "comm": text(process.comm),
        "exe": text(process.image.exe),
        "args": [text(argument) for argument in process.image.args],
        "exit_status": process.exit_status,
    }


HELPERS = (
    Helper(
        "CollectEvidence",
        error='""',
        check=_collect_evidence,
        place="files",
        budget="evidence",
        about=Description(
            summary=(
                "Keeps what is known of the process below the evidence directory: its program (also if deleted), maps,"
                " descriptors, sockets, environment (redacted), ancestry, the event, and a manifest with the hash of"
                " each."
            ),
            result='The directory, `""` on error; `Errno()` says what is missing in it',
            errors=(
                "the recipe's budget is used up; too much evidence already; too little free space; the filesystem is"
                " full"
            ),
            example=(
                "const dir = CollectEvidence();\nconst manifest = JSON.parse(ReadFile(`${dir}/manifest.json`));\n"
                "Info(manifest.files[0].name, manifest.files[0].sha256 === HashFile('exe'));\nRemoveDir(dir);"
            ),
            prints="program true",
            type="string",
        ),
    ),
)
