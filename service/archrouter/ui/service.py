"""What the page asks the service, by gRPC: every answer is a document that JSON holds."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from archrouter import v1
from archrouter.client import ClientOptions, RetryOptions, RoutingClient, open_channel, parse_conversation
from archrouter.client.errors import rpc_errors_translated
from archrouter.domain.findings import Finding, Severity
from archrouter.domain.policy import NO_MATCH_ID, PolicySet
from archrouter.domain.policy_lint import lint_policy_set
from archrouter.domain.suite import check_suite_routes
from archrouter.policy_files.policies import read_policy_document
from archrouter.policy_files.suites import read_suite_document
from archrouter.rpc.convert.policies import policy_set_from_proto
from archrouter.strict_yaml.document import YamlDocument
from archrouter.suites.calls import Failure
from archrouter.suites.requests import inline_policy_set, policy_set_name
from archrouter.suites.run import CaseResult, run_suite
from archrouter.workbench.foreign.writer import policy_file

# Any: what JSON holds.
Document = dict[str, Any]

_WRITTEN = "Written from what the service has loaded; the comments of its file are not known here."
_read = lru_cache(maxsize=8)(read_policy_document)  # a text is read for each of its conversations


class UnusableTextError(Exception):
    """A text that cannot be used as it stands, with the findings that say why."""

    def __init__(self, what: str, findings: Sequence[Finding]) -> None:
        """Name the kind of text."""
        super().__init__(f"the {what} cannot be used as it stands; see its findings")
        self.findings = findings_document(findings)


class Service:
    """Asks one service. Each question opens a channel of its own, so that one that was away is there again at once."""

    def __init__(self, options: ClientOptions) -> None:
        """Connect to nothing yet."""
        self._options = options

    async def describe(self) -> Document:
        """Say what the service is and which policy sets it has; RoutingError when it does not answer."""
        async with RoutingClient(self._options) as client:
            info = await client.server_info()
        return {"target": self._options.target, "info": _document(info), "sets": await self._policy_set_ids()}

    async def policy_text(self, policy_set_id: str) -> str:
        """Write a loaded policy set as a policy file; RoutingError when there is none."""
        async with self._policies() as stub:
            request = v1.GetPolicySetRequest(name=policy_set_name(policy_set_id))
            reply = await stub.GetPolicySet(request, timeout=self._options.timeout_s, metadata=self._options.metadata)
        policy_set, _ = policy_set_from_proto(reply.policy_set)
        return policy_file(policy_set, (_WRITTEN,))

    async def check(self, text: str) -> Document:
        """Have the service check a policy file; the words of a valid one are linted here."""
        async with self._policies() as stub:
            request = v1.ValidatePolicySetRequest(yaml=text)
            reply = await stub.ValidatePolicySet(
                request, timeout=self._options.timeout_s, metadata=self._options.metadata
            )
        linted = await asyncio.to_thread(_lint, text) if reply.valid else ()
        return {
            "valid": reply.valid,
            "policySet": _document(reply.policy_set) if reply.valid else None,
            "findings": findings_document([*map(_finding, reply.findings), *linted]),
        }

    async def route(self, text: str, messages: list[dict[str, str]]) -> Document:
        """Route a conversation by a policy file, which travels with the request.

        Raises:
            UnusableTextError: When the text is no valid policy set.
            ValueError: When a message is none.
            RoutingError: When there is no decision.
        """
        request = v1.SelectRouteRequest(
            messages=parse_conversation(messages).messages,
            inline_policy_set=inline_policy_set(await _policy_set(text)),
            view=v1.DecisionView.DECISION_VIEW_FULL,
        )
        async with RoutingClient(self._options) as client:
            return _document((await client.select_route(request)).decision)

    async def run_suite(self, text: str, suite_text: str) -> Document:
        """Route a suite's cases by a policy file; raises as `route` does, but a case that fails is a result."""
        policy_set = await _policy_set(text)
        document = await asyncio.to_thread(read_suite_document, suite_text)
        findings = document.findings
        if document.content is not None:
            findings += document.places.locate(check_suite_routes(document.content, policy_set))
        if document.content is None or findings:
            what = "suite"
            raise UnusableTextError(what, findings)
        # Nobody types meanwhile: a moment without an answer must not fail cases.
        async with RoutingClient(replace(self._options, retry=RetryOptions())) as client:
            await client.server_info()  # a service that is away is said once, not case by case
            results = await run_suite(client, document.content, inline=policy_set)
        return {"suite": document.content.policy_set_id, "cases": [_case(result) for result in results]}

    async def _policy_set_ids(self) -> list[str]:
        names, token = list[str](), ""
        async with self._policies() as stub:
            while True:
                request = v1.ListPolicySetsRequest(page_token=token)
                page = await stub.ListPolicySets(
                    request, timeout=self._options.timeout_s, metadata=self._options.metadata
                )
                names += [one.name.rpartition("/")[2] for one in page.policy_sets]
                token = page.next_page_token
                if not token:
                    return names

    @asynccontextmanager
    async def _policies(self) -> AsyncIterator["v1.PolicyServiceAsyncStub"]:
        async with open_channel(self._options) as channel:
            with rpc_errors_translated():
                yield v1.PolicyServiceStub(channel)


def findings_document(findings: Sequence[Finding]) -> list[Document]:
    """Write findings as the page reads them, in the order of the text."""
    return [
        {
            "severity": one.severity.value,
            "path": one.field_path,
            "message": one.message,
            "line": one.line,
            "column": one.column,
        }
        for one in sorted(findings, key=lambda one: (one.line, one.column))
    ]


def _finding(one: v1.PolicyFinding) -> Finding:
    severity = Severity.ERROR if one.severity == v1.Severity.SEVERITY_ERROR else Severity.WARNING
    return Finding(severity, one.field_path, one.message, one.line, one.column)


async def _policy_set(text: str) -> PolicySet:
    document: YamlDocument[PolicySet] = await asyncio.to_thread(_read, text)
    if document.content is None:
        what = "policy set"
        raise UnusableTextError(what, document.findings)
    return document.content


def _lint(text: str) -> tuple[Finding, ...]:
    document = _read(text)
    return () if document.content is None else document.places.locate(lint_policy_set(document.content))


def _case(result: CaseResult) -> Document:
    case, decision = result.case, None if isinstance(result.answer, Failure) else result.answer.decision
    return {
        "name": case.name,
        "passed": result.passed,
        "route": case.expected_route_id or NO_MATCH_ID,
        "gotRoute": (decision.route_id or NO_MATCH_ID) if decision else None,
        "expected": result.expected,
        "actual": result.actual,
        "confidence": decision.confidence if decision else None,
        "messages": [{"role": message.role.value, "content": message.content} for message in case.messages],
    }


def _document(message: Message) -> Document:
    return MessageToDict(message, always_print_fields_with_no_presence=True)
