"""The state behind the health service."""

import pytest

from archrouter.rpc.authentication.scopes import REQUIRED_SCOPES
from archrouter.rpc.health import ENDPOINTS_SERVICE, WHOLE_SERVER, Component, Health

ROUTING, POLICY = "archrouter.v1.RoutingService", "archrouter.v1.PolicyService"


def test_nothing_serves_before_its_components_are_ready() -> None:
    """A process that has just started tells no load balancer to send calls."""
    health = Health()

    assert [False, False, False] == [health.is_serving(name) for name in (WHOLE_SERVER, ROUTING, POLICY)]


@pytest.mark.parametrize(
    ("ready", "routing", "policy"),
    [
        pytest.param((), False, False, id="none"),
        pytest.param((Component.MODEL,), False, False, id="model"),
        pytest.param((Component.POLICIES,), False, True, id="policies"),
        pytest.param((Component.MODEL, Component.POLICIES), True, True, id="both"),
    ],
)
def test_service_needs_its_own_components(ready: tuple[Component, ...], *, routing: bool, policy: bool) -> None:
    """Routing needs model and policies, reading policies needs no model, and the server is as ready as routing."""
    health = Health()

    for component in ready:
        health.set_ready(component, ready=True)

    assert (routing, routing, policy) == (
        health.is_serving(WHOLE_SERVER),
        health.is_serving(ROUTING),
        health.is_serving(POLICY),
    )


def test_endpoints_have_a_name_of_their_own_that_nothing_depends_on() -> None:
    """Whether an upgrade is through says nothing about whether calls are answered, nor the other way round."""
    health = Health()
    health.set_ready(Component.ENDPOINTS, ready=True)
    alone = [health.is_serving(name) for name in (ENDPOINTS_SERVICE, WHOLE_SERVER, ROUTING, POLICY)]
    for component in Component:
        health.set_ready(component, ready=component is not Component.ENDPOINTS)
    without = [health.is_serving(name) for name in (ENDPOINTS_SERVICE, WHOLE_SERVER, ROUTING, POLICY)]

    assert [[True, False, False, False], [False, True, True, True]] == [alone, without]


def test_component_that_recovers_serves_again() -> None:
    """Health follows a component down and up."""
    health = Health()
    for component in Component:
        health.set_ready(component, ready=True)

    health.set_ready(Component.MODEL, ready=False)
    lost = health.is_serving(ROUTING)
    health.set_ready(Component.MODEL, ready=True)

    assert (False, True) == (lost, health.is_serving(ROUTING))


def test_drain_outlasts_the_components() -> None:
    """A component that becomes ready during the drain does not bring calls back."""
    health = Health()

    health.drain()
    for component in Component:
        health.set_ready(component, ready=True)

    assert (False, False) == (health.is_serving(WHOLE_SERVER), health.closed)


def test_closed_process_does_not_serve() -> None:
    """A process that takes no further call says so, even without a drain before."""
    health = Health()
    for component in Component:
        health.set_ready(component, ready=True)

    health.close()

    assert (False, True) == (health.is_serving(WHOLE_SERVER), health.closed)


def test_unknown_service_has_no_state() -> None:
    """A service this server does not have neither serves nor fails to."""
    assert Health().is_serving("nobody") is None


def test_every_service_of_the_api_has_a_state() -> None:
    """A service that callers can use is one they can ask the health of."""
    assert all(Health().is_serving(method.rpc_service) is not None for method in REQUIRED_SCOPES)
