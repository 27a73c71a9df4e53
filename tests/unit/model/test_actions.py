"""Actions and their names."""

from __future__ import annotations

from raqib.kernel.layout import constant
from raqib.model.actions import ACTION_MACROS, ACTION_NAMES, ALL_ACTIONS, FileAction, action_names


def test_there_are_fifteen_and_the_kernel_side_has_the_same_bits() -> None:
    assert 15 == len(ACTION_NAMES)
    for action in FileAction:
        assert constant(f"ACTION_{action.name}") == action.value


def test_names_come_in_bit_order() -> None:
    assert ("open", "execve") == action_names(FileAction.EXECVE | FileAction.OPEN)
    assert tuple(ACTION_NAMES) == action_names(ALL_ACTIONS)


def test_macros_are_those_of_the_language() -> None:
    spelled = {name: set(action_names(actions)) for name, actions in ACTION_MACROS.items()}
    opened, read = {"open", "close"}, {"read", "llseek", "mmap"}
    modified = {"create", "link", "write", "truncate", "fsync", "rename", "unlink"}
    assert {
        "any": set(ACTION_NAMES),
        "open_related": opened,
        "read_related": read,
        "modify_related": modified,
        "access_related": opened | read | modified,
        "access_no_mmap_related": (opened | read | modified) - {"mmap"},
        "tamper_related": {"link", "unlink", "truncate", "rename"},
    } == spelled
