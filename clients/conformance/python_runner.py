"""Runs the vectors with the Python clients; run.py beside it explains them."""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from archrouter import v1
from archrouter.client import (
    BlockingRoutingClient,
    ClientOptions,
    Conversation,
    Limits,
    RoutingClient,
    RoutingError,
    Selection,
    TlsOptions,
    parse_conversation,
)

_TRIES_OF_TIMED_VECTORS = 3  # another process may take the processor for longer than a vector allows
_DOCUMENT = Mapping[str, Any]  # Any: a vector is a JSON document
_NOT_OBSERVED = frozenset({"afterS", "withinS", "error"})


def main() -> None:
    """Print one JSON document a vector."""
    for file in sorted(Path(os.environ["CONFORMANCE_VECTORS"]).glob("*.json")):
        for vector in json.loads(file.read_text(encoding="utf-8")):
            why = _run(vector)
            tries = 1
            while why and "withinS" in vector["expect"] and tries < _TRIES_OF_TIMED_VECTORS:
                why = _run(vector)
                tries += 1
            print(json.dumps({"name": vector["name"], "why": why}))


def _run(vector: _DOCUMENT) -> str:
    """Say why the vector fails, with either client; empty: it passes."""
    kinds = (_ask, _ask_from_loop) if vector.get("server") == "embedded" else (_ask,)
    return next((why for kind in kinds if (why := _outcome(vector, kind))), "")


def _outcome(vector: _DOCUMENT, ask: Any) -> str:  # noqa: ANN401  # one of the two functions below
    expected = vector["expect"]
    started = time.monotonic()
    try:
        observed = _observe(vector, ask)
    except ValueError as error:
        return "" if "error" in expected and expected["error"] in str(error) else f"refused: {error}"
    elapsed_s = time.monotonic() - started
    if "error" in expected:
        return f"no error, but {observed}"
    wrong = [key for key in expected.keys() - _NOT_OBSERVED if not _agrees(key, expected[key], observed.get(key))]
    if wrong:
        return f"{', '.join(wrong)}: {observed}"
    in_time = expected.get("afterS", 0) <= elapsed_s <= expected.get("withinS", float("inf"))
    return "" if in_time else f"took {elapsed_s:.3f} s"


def _agrees(key: str, expected: Any, observed: Any) -> bool:  # noqa: ANN401  # of a JSON document
    if key == "metadata":
        return isinstance(observed, Mapping) and expected == {name: observed.get(name) for name in expected}
    if key == "request":
        return bool(json_format.ParseDict(expected, v1.SelectRouteRequest()) == observed)
    return bool(expected == observed)


def _observe(vector: _DOCUMENT, ask: Any) -> _DOCUMENT:  # noqa: ANN401  # see _outcome
    if "call" in vector:
        return {**ask(vector, _options(vector), _request(vector))}
    if "chat" not in vector:
        return {"client": repr(_options(vector))}
    conversation = _conversation(vector, vector["chat"])
    return {
        "request": _after(vector, conversation, vector.get("routeTicket", "")),
        "skippedParts": conversation.skipped_parts,
        "cutMessages": conversation.cut_messages,
        "droppedMessages": conversation.dropped_messages,
    }


def _ask(vector: _DOCUMENT, options: ClientOptions, request: v1.SelectRouteRequest) -> _DOCUMENT:
    with BlockingRoutingClient(options) as client:
        try:
            if vector["call"] == "selectRoute":
                decision = client.select_route(request, trace=vector).decision
                selection = Selection(decision.models, decision)
            else:
                selection = client.select_models(request, default=_fallback(vector), trace=vector)
        except RoutingError as error:
            return {"source": "error", "failOpens": client.fail_opens, **_described(error)}
        return {"failOpens": client.fail_opens, **_described_selection(selection)}


def _ask_from_loop(vector: _DOCUMENT, options: ClientOptions, request: v1.SelectRouteRequest) -> _DOCUMENT:
    async def ask() -> _DOCUMENT:
        """Use the client of event loops."""
        async with RoutingClient(options) as client:
            try:
                if vector["call"] == "selectRoute":
                    decision = (await client.select_route(request, trace=vector)).decision
                    selection = Selection(decision.models, decision)
                else:
                    selection = await client.select_models(request, default=_fallback(vector), trace=vector)
            except RoutingError as error:
                return {"source": "error", "failOpens": client.fail_opens, **_described(error)}
            return {"failOpens": client.fail_opens, **_described_selection(selection)}

    return asyncio.run(ask())


def _described_selection(selection: Selection) -> _DOCUMENT:
    parameters = json_format.MessageToDict(selection.models[0].parameters)
    described = {
        "source": "service" if selection.decision else "fallback",
        "models": [model.model for model in selection.models],
        "parameters": json.dumps(_whole(parameters), sort_keys=True, separators=(",", ":")),
    }
    if selection.decision:
        return {**described, "routeId": selection.decision.route_id, "kept": selection.decision.kept}
    return {**described, **(_described(selection.cause) if selection.cause else {})}


def _whole(value: Any) -> Any:  # noqa: ANN401  # of a JSON document
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _described(error: RoutingError) -> _DOCUMENT:
    return {
        "code": error.code.name,
        "reason": error.reason,
        "metadata": error.metadata,
        "decisionId": error.decision_id,
        "retryAfterS": error.retry_after_s,
    }


def _options(vector: _DOCUMENT) -> ClientOptions:
    server = vector.get("server", "")
    target = os.environ[f"CONFORMANCE_{server.upper()}"] if server else vector["target"]
    options = ClientOptions(target, bearer_token=vector.get("token", ""), tls=_tls(vector))
    return replace(options, timeout_s=vector["timeoutS"]) if "timeoutS" in vector else options


def _tls(vector: _DOCUMENT) -> TlsOptions | None:
    if "tls" not in vector:
        return None
    folder, given = Path(os.environ["CONFORMANCE_CERTIFICATES"]), vector["tls"]
    files = {"authority": "authority", "certificate": "certificate", "key": "certificate"}
    return TlsOptions(*((folder / f"{name}.pem").read_bytes() if of in given else None for name, of in files.items()))


def _request(vector: _DOCUMENT) -> v1.SelectRouteRequest:
    padding = "x " * (vector.get("paddingCharacters", 0) // 2)
    if "chat" in vector:
        chat = [{"role": "user", "content": padding}] if padding else vector["chat"]
        return _after(vector, _conversation(vector, chat), _ticket(vector))
    request = json_format.ParseDict(vector["request"], v1.SelectRouteRequest())
    if padding:
        request.messages.add(role=v1.Role.ROLE_USER, content=padding)
    if "script" in vector:
        request.correlation_id = vector["name"]
    return request


def _after(vector: _DOCUMENT, conversation: Conversation, ticket: str) -> v1.SelectRouteRequest:
    """Ask about a conversation that goes on after a decision."""
    return conversation.request(vector.get("previousRouteId", ""), route_ticket=ticket)


def _ticket(vector: _DOCUMENT) -> str:
    """Have the conversation of before decided, if there is one, and return the decision's ticket."""
    if "ticketOf" not in vector:
        return ""
    with BlockingRoutingClient(_options(vector)) as client:
        return str(client.select_route(_conversation(vector, vector["ticketOf"]).request()).decision.route_ticket)


def _conversation(vector: _DOCUMENT, chat: list[object]) -> Conversation:
    limits = vector.get("limits")
    return parse_conversation(chat, Limits(limits["messages"], limits["messageCharacters"]) if limits else None)


def _fallback(vector: _DOCUMENT) -> list[v1.ModelTarget]:
    return [v1.ModelTarget(model=name) for name in vector.get("fallback", ())]


if __name__ == "__main__":
    main()
