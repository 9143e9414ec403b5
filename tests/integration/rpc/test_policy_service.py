"""PolicyService over the wire."""

import hashlib
from dataclasses import replace

from grpc import StatusCode
from tests.support.rpc_service import SUPPORT, RpcService, ServiceOptions, refusal_of, running_service

from archrouter import v1
from archrouter.rpc.authentication.authenticator import Authenticator
from archrouter.rpc.authentication.callers import Callers

SETS = tuple(replace(SUPPORT, id=f"set-{letter}") for letter in "abc")

ADMIN = Authenticator(Callers.from_text(f"{hashlib.sha256(b'admin-token').hexdigest()} operator policy.read,admin"))
ADMIN_METADATA = (("authorization", "Bearer admin-token"),)

POLICY_TEXT = """\
policy_set: written
fallback: [general]
models:
  general: {model: m/general, parameters: {temperature: 0}}
routes:
  - {id: billing, description: an invoice, models: [general]}
"""


async def test_get_policy_set_shows_it_complete(service: RpcService) -> None:
    """A loaded policy set comes with its revision and the time since when it serves."""
    response = await service.policies.GetPolicySet(v1.GetPolicySetRequest(name="policySets/support"))

    policy_set = response.policy_set
    assert ("policySets/support", SUPPORT.revision) == (policy_set.name, policy_set.revision)
    assert ["programming", "programming_bug_fixing", "billing"] == [route.id for route in policy_set.routes]
    assert [False, False, True] == [route.HasField("min_confidence") for route in policy_set.routes]
    assert ["m/general"] == [target.model for target in policy_set.fallback_models]
    assert service.store.snapshot.loaded["support"].activate_time.replace(tzinfo=None) == (
        policy_set.activate_time.ToDatetime()
    )


async def test_get_policy_set_with_malformed_name_is_refused(service: RpcService) -> None:
    """A name of another collection is malformed, not absent."""
    refusal = await refusal_of(service.policies.GetPolicySet(v1.GetPolicySetRequest(name="sets/support")))

    assert (StatusCode.INVALID_ARGUMENT, "name") == (refusal.code, refusal.info.metadata["field"])


async def test_list_policy_sets_goes_page_by_page() -> None:
    """Following the page tokens shows every policy set once, ordered by name."""
    async with running_service(ServiceOptions(sets=SETS)) as service:
        first = await service.policies.ListPolicySets(v1.ListPolicySetsRequest(page_size=2))
        second = await service.policies.ListPolicySets(
            v1.ListPolicySetsRequest(page_size=2, page_token=first.next_page_token)
        )

    assert ["policySets/set-a", "policySets/set-b"] == [one.name for one in first.policy_sets]
    assert ["policySets/set-c"] == [one.name for one in second.policy_sets]
    assert "" == second.next_page_token


async def test_list_policy_sets_coerces_a_large_page_size() -> None:
    """A page size above the limit is lowered, not refused."""
    async with running_service(ServiceOptions(sets=SETS)) as service:
        response = await service.policies.ListPolicySets(v1.ListPolicySetsRequest(page_size=1_000_000))

    assert 3 == len(response.policy_sets)


async def test_page_token_survives_a_reload_that_changes_nothing() -> None:
    """A token is bound to revisions, not to a moment."""
    async with running_service(ServiceOptions(sets=SETS)) as service:
        first = await service.policies.ListPolicySets(v1.ListPolicySetsRequest(page_size=2))
        await service.store.reload()
        second = await service.policies.ListPolicySets(v1.ListPolicySetsRequest(page_token=first.next_page_token))

    assert ["policySets/set-c"] == [one.name for one in second.policy_sets]


async def test_stale_page_token_is_refused() -> None:
    """A token that was made before a policy set changed fails instead of skipping or repeating a policy set."""
    async with running_service(ServiceOptions(sets=SETS)) as service:
        first = await service.policies.ListPolicySets(v1.ListPolicySetsRequest(page_size=2))
        service.source.sets = (replace(SETS[0], description="changed"), *SETS[1:])
        await service.store.reload()
        refusal = await refusal_of(
            service.policies.ListPolicySets(v1.ListPolicySetsRequest(page_token=first.next_page_token))
        )

    assert (StatusCode.INVALID_ARGUMENT, "page_token") == (refusal.code, refusal.info.metadata["field"])
    assert "stale" in refusal.message


async def test_invalid_list_request_is_refused(service: RpcService) -> None:
    """A negative page size is INVALID_ARGUMENT."""
    refusal = await refusal_of(service.policies.ListPolicySets(v1.ListPolicySetsRequest(page_size=-1)))

    assert (StatusCode.INVALID_ARGUMENT, "page_size") == (refusal.code, refusal.info.metadata["field"])


async def test_validate_accepts_policy_text(service: RpcService) -> None:
    """A good policy text is valid, and comes back as the server understands it, with its revision."""
    response = await service.policies.ValidatePolicySet(v1.ValidatePolicySetRequest(yaml=POLICY_TEXT))

    assert response.valid
    assert ("policySets/written", response.revision) == (response.policy_set.name, response.policy_set.revision)
    assert response.revision.startswith("sha256:")


async def test_validate_reports_policy_text_with_line_and_column(service: RpcService) -> None:
    """A bad policy text is an answer that says where, not an error."""
    text = POLICY_TEXT.replace("description: an invoice", "description: ''")

    response = await service.policies.ValidatePolicySet(v1.ValidatePolicySetRequest(yaml=text))

    assert (False, "", False) == (response.valid, response.revision, response.HasField("policy_set"))
    (finding,) = response.findings
    assert (v1.Severity.SEVERITY_ERROR, 6) == (finding.severity, finding.line)
    assert finding.column > 0


async def test_validate_gives_text_and_message_the_same_revision(service: RpcService) -> None:
    """The same policy set has one revision, whether it is written as text or sent as a message."""
    from_text = await service.policies.ValidatePolicySet(v1.ValidatePolicySetRequest(yaml=POLICY_TEXT))

    from_message = await service.policies.ValidatePolicySet(
        v1.ValidatePolicySetRequest(inline_policy_set=from_text.policy_set)
    )

    assert from_text.revision == from_message.revision


async def test_validate_reports_a_bad_message_with_proto_field_paths(service: RpcService) -> None:
    """Findings about a message use the field names of the message, and all of them are reported."""
    bad = v1.PolicySet(name="Support", routes=[v1.RoutePolicy(id="other", description="x")])
    bad.fallback_models.add(model="m").parameters["weight"] = float("nan")

    response = await service.policies.ValidatePolicySet(v1.ValidatePolicySetRequest(inline_policy_set=bad))

    assert not response.valid
    paths = {finding.field_path for finding in response.findings}
    assert {"name", "routes[0].id", "routes[0].models", "fallback_models[0].parameters"} == paths


async def test_validate_without_source_is_refused(service: RpcService) -> None:
    """A request that holds no policy set is INVALID_ARGUMENT."""
    refusal = await refusal_of(service.policies.ValidatePolicySet(v1.ValidatePolicySetRequest()))

    assert (StatusCode.INVALID_ARGUMENT, "source") == (refusal.code, refusal.info.metadata["field"])


async def test_reload_reports_what_changed_and_what_was_rejected() -> None:
    """A reload tells the active revisions, which of them are new, and the sources that keep an old one."""
    async with running_service(ServiceOptions(sets=SETS, authenticator=ADMIN)) as service:
        service.source.sets = (SETS[0], replace(SETS[1], description="changed"), SETS[2])
        service.source.broken = ("set-c.yaml",)
        response = await service.policies.ReloadPolicySets(v1.ReloadPolicySetsRequest(), metadata=ADMIN_METADATA)

    changed = {one.name: one.changed for one in response.policy_sets}
    assert {"policySets/set-a": False, "policySets/set-b": True, "policySets/set-c": False} == changed
    assert SETS[2].revision == response.policy_sets[2].revision
    (rejected,) = response.rejected_sources
    assert ("set-c.yaml", "broken on purpose") == (rejected.source, rejected.findings[0].message)
