"""Writes what there is for people who write reactions, from the helpers' declarations.

`python -m raqib.reactions.reference page` prints docs/reactions.md, `... types` prints raqib.d.ts.
"""

from __future__ import annotations

import sys
import textwrap

from raqib.actions.declare import Argument, Helper
from raqib.actions.helpers.table import SECTIONS

_INTRODUCTION = """# Helpers

<!-- Generated: python -m raqib.reactions.reference page > docs/reactions.md -->

What a reaction in JavaScript can call. All are synchronous: they return when the action has been done. None throws
because an action failed: it returns its error value, and `Errno()` says why. A wrong number or type of arguments is a
failed action, too. An argument is omitted by not giving it: `undefined`, `null` and `""` in its place are errors.

`Info(...)`, `Warn(...)` and `Error(...)`, also as `console.log`, `.warn` and `.error`, write to the log; `new
Error(...)` is the constructor that it always was. `kind`, `name` (of the recipe), `uuid` and `data` (the event) are
globals. In a dry run every helper answers as if it had acted (operating.md says what that means).
"""

_TYPES = """// Generated: python -m raqib.reactions.reference types > src/raqib/reactions/raqib.d.ts
// For editors: /// <reference path="raqib.d.ts" /> above a reaction's code.

/** The kind of the recipe. */
declare const kind: string;
/** The name of the recipe. */
declare const name: string;
/** The identifier of the event. */
declare const uuid: string;
/** The event; its JSON Schema is docs/event.schema.json. */
declare const data: Record<string, any>;

/** Writes a line to the log: objects as JSON, joined by blanks. */
declare function Info(...values: unknown[]): void;
/** As Info, as a warning. */
declare function Warn(...values: unknown[]): void;
interface ErrorConstructor {
  /** As Info, as an error. With `new` it is the constructor that it always was. */
  (...values: unknown[]): void;
}
/** Returns why the latest helper did not plainly succeed; empty if it did. */
declare function Errno(): string;
"""


def reference_page() -> str:
    """Return the page, in Markdown."""
    parts = [_INTRODUCTION]
    for section, helpers in SECTIONS.items():
        parts.append(f"## {section}\n")
        parts += map(_page_entry, helpers)
    return "\n".join(parts)


def type_declarations() -> str:
    """Return the declarations, in TypeScript."""
    parts = [_TYPES]
    for helpers in SECTIONS.values():
        for helper in helpers:
            comment = f"{helper.about.summary} Returns {_lower(helper.about.result)}."
            parts += [f"/** {comment} */\n{line}" for line in _signatures(helper)]
    return "\n".join(parts) + "\n"


def _page_entry(helper: Helper) -> str:
    description = helper.about
    signature = ", ".join(f"[{argument.name}]" if argument.optional else argument.name for argument in helper.arguments)
    lines = [f"### `{helper.name}({signature})`\n", f"{_wrapped(description.summary)}\n"]
    items = [f"`{argument.name}`: {_describe(argument)}" for argument in helper.arguments]
    items += [f"returns: {description.result}", f"error value `{helper.error}`: {description.errors}"]
    lines += [*(_wrapped(f"- {item}", "  ") for item in items), ""]
    lines += ["```js", description.example, "```", ""]
    lines += ["logs", "", *(f"    {line}".rstrip() for line in description.prints.split("\n")), ""]
    return "\n".join(lines)


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _describe(argument: Argument) -> str:
    parts: list[str] = [argument.kind]
    if argument.optional:
        parts.append("may be omitted")
    if argument.may_be_empty:
        parts.append("may be empty")
    return ", ".join(parts)


def _signatures(helper: Helper) -> list[str]:
    """Return one line, or two where the first argument is the one that can be omitted."""
    types = {"string": "string", "integer": "number", "number": "number", "object": "Record<string, unknown>"}
    leading = helper.arguments[:1] if helper.accepted(1) != helper.arguments[:1] else ()
    forms = [helper.arguments[1:], helper.arguments] if leading else [helper.arguments]
    return [
        f"declare function {helper.name}("
        + ", ".join(
            f"{argument.name}{'?' if argument.optional and not leading else ''}: {types[argument.kind]}"
            for argument in form
        )
        + f"): {helper.about.type};"
        for form in forms
    ]


def _lower(text: str) -> str:
    return text[0].lower() + text[1:] if text[1:2].islower() else text


def main() -> None:
    """Print what the command line names."""
    what = sys.argv[1:]
    if what == ["page"]:
        sys.stdout.write(reference_page())
    elif what == ["types"]:
        sys.stdout.write(type_declarations())
    else:
        raise SystemExit("expected `page` or `types`")


if __name__ == "__main__":
    main()
