"""PolicyService: shows, checks and reloads policy sets."""

import asyncio

from grpc import aio

from archrouter import v1
from archrouter.rpc.convert import (
    checked_policy_set_from_proto,
    loaded_policy_set_to_proto,
    reload_to_proto,
    validation_to_proto,
)
from archrouter.rpc.dependencies import RpcDependencies
from archrouter.rpc.errors import FeatureDisabledError
from archrouter.rpc.page_tokens import decode_page_token, encode_page_token
from archrouter.rpc.resource_names import policy_set_id
from archrouter.rpc.validation import check_get_policy_set, check_list_policy_sets, check_validate_policy_set

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500


class PolicyServicer(v1.PolicyServiceServicer):
    """Handlers of PolicyService. What they raise is mapped by the pipeline."""

    def __init__(self, dependencies: RpcDependencies) -> None:
        """Serve from `dependencies`."""
        self._dependencies = dependencies

    async def GetPolicySet(  # noqa: N802  # named by the API
        self,
        request: v1.GetPolicySetRequest,
        context: aio.ServicerContext[v1.GetPolicySetRequest, v1.GetPolicySetResponse],
    ) -> v1.GetPolicySetResponse:
        """Show one loaded policy set."""
        del context
        check_get_policy_set(request)
        loaded = self._dependencies.store.resolve(policy_set_id(request.name))
        return v1.GetPolicySetResponse(policy_set=loaded_policy_set_to_proto(loaded))

    async def ListPolicySets(  # noqa: N802  # named by the API
        self,
        request: v1.ListPolicySetsRequest,
        context: aio.ServicerContext[v1.ListPolicySetsRequest, v1.ListPolicySetsResponse],
    ) -> v1.ListPolicySetsResponse:
        """Show one page of the loaded policy sets."""
        del context
        check_list_policy_sets(request)
        snapshot = self._dependencies.store.snapshot
        start = decode_page_token(snapshot, request.page_token)
        end = start + min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        loaded = list(snapshot.loaded.values())
        return v1.ListPolicySetsResponse(
            policy_sets=[loaded_policy_set_to_proto(one) for one in loaded[start:end]],
            next_page_token=encode_page_token(snapshot, end) if end < len(loaded) else "",
        )

    async def ValidatePolicySet(  # noqa: N802  # named by the API
        self,
        request: v1.ValidatePolicySetRequest,
        context: aio.ServicerContext[v1.ValidatePolicySetRequest, v1.ValidatePolicySetResponse],
    ) -> v1.ValidatePolicySetResponse:
        """Check a policy set; a bad one is an answer, not an error."""
        del context
        check_validate_policy_set(request)
        # Reading a large policy set takes longer than the event loop should stand still.
        return await asyncio.to_thread(self._validate, request)

    async def ReloadPolicySets(  # noqa: N802  # named by the API
        self,
        request: v1.ReloadPolicySetsRequest,
        context: aio.ServicerContext[v1.ReloadPolicySetsRequest, v1.ReloadPolicySetsResponse],
    ) -> v1.ReloadPolicySetsResponse:
        """Load the policy files now."""
        del request, context
        if not self._dependencies.policies.reload_enabled:
            setting = "policies.reload_enabled"
            raise FeatureDisabledError(setting)
        before = self._dependencies.store.snapshot
        after = await self._dependencies.reload_policies()
        return reload_to_proto(before, after)

    def _validate(self, request: v1.ValidatePolicySetRequest) -> v1.ValidatePolicySetResponse:
        if request.WhichOneof("source") == "inline_policy_set":
            policy_set, findings = checked_policy_set_from_proto(request.inline_policy_set)
        else:
            policy_set, findings = self._dependencies.parse_policy_text(request.yaml)
        return validation_to_proto(policy_set, findings)
