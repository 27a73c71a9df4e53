"""Errors that callers catch.

RaqibError                 anything that raqib itself reports; the message is fit for a user
├── NotPermittedError      this kernel or these privileges do not allow it (exit status 3)
├── RefusedError           a guard forbids it
└── UsageError             the command line or the configuration is wrong (exit status 2)
"""

from __future__ import annotations


class RaqibError(Exception):
    """Says what was expected, what was found, where, and what to do."""

    exit_status = 1


class NotPermittedError(RaqibError):
    """This kernel or these privileges do not allow what was asked."""

    exit_status = 3


class UsageError(RaqibError):
    """The command line or the configuration is wrong."""

    exit_status = 2


class RefusedError(RaqibError):
    """A guard forbids it; the message says which and why."""
