"""PolicyService: shows, checks and reloads policy sets."""

import asyncio
import base64
import binascii
import hashlib
import re

from grpc import aio

from archrouter import v1
from archrouter.application.policy_store import PolicySnapshot
from archrouter.domain.errors import InvalidRequestError, PolicySetNotFoundError
from archrouter.domain.findings import Finding, error_at
from archrouter.rpc.authentication.scopes import Scope
from archrouter.rpc.convert.policies import (
    checked_policy_set_from_proto,
    loaded_policy_set_to_proto,
    reload_to_proto,
    validation_to_proto,
)
from archrouter.rpc.convert.routing import name_findings, policy_set_id
from archrouter.rpc.dependencies import RpcDependencies
from archrouter.rpc.errors import FeatureDisabledError
from archrouter.rpc.pipeline import current_call

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500

_PAGE_TOKEN = re.compile(r"([0-9a-f]{16}):([0-9]{1,9})")
"""A digest of the revisions that the first page was made of, and an offset. A token names no state of a process, so any
replica that serves the same revisions can answer it."""


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
        _refuse(*name_findings("name", request.name))
        wanted = policy_set_id(request.name)
        caller = current_call().caller
        if caller is not None and wanted is not None and not caller.sees(Scope.POLICY_READ, wanted):
            raise PolicySetNotFoundError(wanted)  # whether it exists or not
        loaded = self._dependencies.store.resolve(wanted)
        return v1.GetPolicySetResponse(policy_set=loaded_policy_set_to_proto(loaded))

    async def ListPolicySets(  # noqa: N802  # named by the API
        self,
        request: v1.ListPolicySetsRequest,
        context: aio.ServicerContext[v1.ListPolicySetsRequest, v1.ListPolicySetsResponse],
    ) -> v1.ListPolicySetsResponse:
        """Show one page of the loaded policy sets."""
        del context
        if request.page_size < 0:
            _refuse(error_at("page_size", f"{request.page_size} is negative; send 0 for the default"))
        snapshot = self._visible()
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
        if request.WhichOneof("source") is None:
            _refuse(error_at("source", "is unset; send inline_policy_set or yaml"))
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

    def _visible(self) -> PolicySnapshot:
        """Give the loaded sets that the caller may see, so that even a page token tells nothing of others."""
        snapshot, caller = self._dependencies.store.snapshot, current_call().caller
        if caller is None or caller.sees_all(Scope.POLICY_READ):
            return snapshot
        return PolicySnapshot(
            {key: loaded for key, loaded in snapshot.loaded.items() if caller.sees(Scope.POLICY_READ, key)}
        )

    def _validate(self, request: v1.ValidatePolicySetRequest) -> v1.ValidatePolicySetResponse:
        if request.WhichOneof("source") == "inline_policy_set":
            policy_set, findings = checked_policy_set_from_proto(request.inline_policy_set)
        else:
            policy_set, findings = self._dependencies.parse_policy_text(request.yaml)
        return validation_to_proto(policy_set, findings)


def encode_page_token(snapshot: PolicySnapshot, offset: int) -> str:
    """Make the token of the page that starts at an index >= 1: safe in URLs, without padding."""
    return base64.urlsafe_b64encode(f"{_digest(snapshot)}:{offset}".encode()).decode().rstrip("=")


def decode_page_token(snapshot: PolicySnapshot, token: str) -> int:
    """Read the index of a page's first policy set; InvalidRequestError for a malformed or outdated token."""
    if not token:
        return 0
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    match = _PAGE_TOKEN.fullmatch(text)
    if match is None:
        text = "is no page token of this API; send next_page_token of the page before, unchanged"
        raise InvalidRequestError((error_at("page_token", text),))
    if match[1] != _digest(snapshot):
        text = "is stale: the policy sets have changed since; start again without a page token"
        raise InvalidRequestError((error_at("page_token", text),))
    return int(match[2])


def _digest(snapshot: PolicySnapshot) -> str:
    revisions = "\n".join(f"{key} {loaded.policy_set.revision}" for key, loaded in snapshot.loaded.items())
    return hashlib.sha256(revisions.encode()).hexdigest()[:16]


def _refuse(*findings: Finding) -> None:
    if findings:
        raise InvalidRequestError(findings)
