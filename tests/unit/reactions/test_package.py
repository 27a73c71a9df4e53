from __future__ import annotations

import pytest

import raqib.reactions


def test_public_names() -> None:
    assert sorted(raqib.reactions.__all__) == raqib.reactions.__all__
    for name in raqib.reactions.__all__:
        assert getattr(raqib.reactions, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        raqib.reactions.nothing  # noqa: B018
