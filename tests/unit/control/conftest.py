"""What acts for the tests of the actions acts for those of the command line as well."""

from __future__ import annotations

from tests.unit.actions.conftest import act

__all__ = ["act"]
