"""Flow actions and their names."""

from __future__ import annotations

from raqib.model.flow import ALL_FLOW_ACTIONS, FLOW_ACTION_NAMES, FlowAction, flow_action_names


def test_names_are_those_of_the_language_in_bit_order() -> None:
    expected = "created ingress egress incoming outgoing started ongoing ended terminator terminated"
    assert expected == " ".join(FLOW_ACTION_NAMES)
    assert tuple(FLOW_ACTION_NAMES) == flow_action_names(ALL_FLOW_ACTIONS)


def test_names_of_some() -> None:
    assert ("egress", "ended") == flow_action_names(FlowAction.ENDED | FlowAction.EGRESS)
