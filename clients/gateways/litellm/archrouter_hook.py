"""A hook of the LiteLLM proxy: ArchRouter chooses the model of each chat request.

The proxy's configuration names it as ``callbacks: archrouter_hook.hook``; see ``config.yaml`` beside this file. It is
set by the environment: ARCHROUTER_TARGET (HOST:PORT) and ARCHROUTER_FALLBACK (models while ArchRouter is away, best
first, with commas).
"""

import logging
import os
from collections.abc import Mapping
from typing import Any

from fastapi import HTTPException
from google.protobuf.json_format import MessageToDict
from litellm.integrations.custom_logger import CustomLogger

from archrouter.client import ClientOptions, RoutingClient, RoutingError, Selection, parse_conversation
from archrouter.v1 import ModelTarget

ROUTE_HEADER = "archrouter-route"
"""In each answer; an agent sends it back with its next turn, and so keeps its route in tool loops."""

SOURCE_HEADER = "archrouter-source"

_log = logging.getLogger("archrouter_hook")


class ArchRouterHook(CustomLogger):
    """Rewrites ``model``, and leaves the walk down the models to the proxy's own fallbacks."""

    def __init__(self) -> None:
        """Read the settings; the client is made in the proxy's event loop, with the first request."""
        super().__init__()
        self._target = os.environ.get("ARCHROUTER_TARGET", "127.0.0.1:50051")
        names = os.environ.get("ARCHROUTER_FALLBACK", "openai/gpt-4.1").split(",")
        self._fallback = [ModelTarget(model=name) for name in names]
        self._client: RoutingClient | None = None

    async def async_pre_call_hook(
        self,
        user_api_key_dict: object,  # noqa: ARG002  # the proxy's signature
        cache: object,  # noqa: ARG002  # same
        data: dict[str, Any],  # Any: a chat request
        call_type: str,
    ) -> dict[str, Any]:
        """Choose the model before the proxy calls one."""
        if call_type not in ("completion", "acompletion"):
            return data
        selection = await self._select(data)
        first, *others = selection.models
        # What the caller asks for stands above the policy's parameters.
        data = {**_parameters(first), **data, "model": first.model, "fallbacks": [each.model for each in others]}
        decision = selection.decision
        data["metadata"] = {
            **(data.get("metadata") or {}),
            ROUTE_HEADER: decision.route_id if decision else "",
            SOURCE_HEADER: "service" if decision else "fallback",
        }
        return data

    async def async_post_call_response_headers_hook(
        self,
        data: dict[str, Any],  # Any: same
        *_: object,
        **__: object,
    ) -> dict[str, str]:
        """Tell the caller the route, for its next turn."""
        metadata = data.get("metadata") or {}
        return {name: metadata[name] for name in (ROUTE_HEADER, SOURCE_HEADER) if metadata.get(name)}

    async def _select(self, data: Mapping[str, Any]) -> Selection:
        headers = (data.get("proxy_server_request") or {}).get("headers") or {}
        if self._client is None:
            self._client = RoutingClient(ClientOptions(self._target))
        try:
            request = parse_conversation(data.get("messages")).request(headers.get(ROUTE_HEADER, ""))
            selection = await self._client.select_models(request, default=self._fallback)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        except RoutingError as error:
            raise HTTPException(400 if error.code.name == "INVALID_ARGUMENT" else 500, str(error)) from error
        if selection.cause is not None:
            _log.warning("failed open: %s", selection.cause)
        return selection


def _parameters(model: ModelTarget) -> dict[str, Any]:
    """Give the policy's settings, whole numbers as such: a Struct holds every number as a double."""
    settings = MessageToDict(model.parameters)
    whole = {name: int(value) for name, value in settings.items() if isinstance(value, float) and value.is_integer()}
    return settings | whole


hook = ArchRouterHook()
