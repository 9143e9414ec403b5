"""Explanations over the wire."""

import pytest
from tests.support.rpc_service import RpcService, user_says

from archrouter import v1

EXPLAIN = v1.DecisionView.DECISION_VIEW_EXPLAIN


def conversation() -> v1.SelectRouteRequest:
    """Build a request of which two messages are the user's and one is never read."""
    request = user_says("repairing a crash or an error", view=EXPLAIN)
    request.messages.add(role=v1.Role.ROLE_TOOL, content="ok")
    request.messages.add(role=v1.Role.ROLE_USER, content="an invoice, a price or a refund")
    return request


async def test_an_explanation_says_which_message_decided(service: RpcService) -> None:
    """The model reads the latest user message, so without it another route leads."""
    decision = (await service.routing.SelectRoute(conversation())).decision

    explanation = decision.explanation
    assert "billing" == decision.route_id
    assert [(0, False), (2, True)] == [(one.message_index, one.changes_leader) for one in explanation.message_effects]
    assert 2 == explanation.deciding_message_index
    assert explanation.lead == pytest.approx(decision.confidence - explanation.runner_up.probability)
    assert 3 == decision.usage.engine_call_count
    assert decision.candidates
    assert decision.reasons


@pytest.mark.parametrize("view", [v1.DecisionView.DECISION_VIEW_BASIC, v1.DecisionView.DECISION_VIEW_FULL])
async def test_other_views_are_not_explained(service: RpcService, view: v1.DecisionView.ValueType) -> None:
    """Only who asks pays."""
    request = conversation()
    request.view = view

    decision = (await service.routing.SelectRoute(request)).decision

    assert not decision.HasField("explanation")
    assert 1 == decision.usage.engine_call_count


async def test_items_of_a_batch_are_explained_each_by_itself(service: RpcService) -> None:
    """As each would be alone."""
    batch = v1.BatchSelectRoutesRequest(requests=[conversation(), user_says("a refund", view=EXPLAIN)])

    first, second = (await service.routing.BatchSelectRoutes(batch)).results

    assert first.response.decision.explanation.HasField("deciding_message_index")
    assert second.response.decision.HasField("explanation")
    assert not second.response.decision.explanation.HasField("deciding_message_index")
