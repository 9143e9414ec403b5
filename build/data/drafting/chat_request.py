"""A question to a model, as the request that asks it and the digest that finds its answer again."""

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from data.drafting.settings import Role, RoleSettings

_DIGEST_FORMAT = 1
"""Part of every digest; raised when the same members come to mean another request."""

_CHARACTERS_PER_TOKEN = 4
"""For rate limits only; close enough for English, and the endpoint has the last word."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request.

    Attributes:
        role: Who is asked.
        item: What the question is about; two questions of one role never share it.
        attempt: 1 for the first asking.
        settings: Model and decoding.
        system: What the model is told about its task.
        user: The task.
        answer_name: Name of the answer's type.
        answer_schema: Its JSON schema.
    """

    role: Role
    item: str
    attempt: int
    settings: RoleSettings
    system: str
    user: str
    answer_name: str
    answer_schema: dict[str, JsonValue]

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` over everything that can change the answer.

        The endpoint's address and how it is asked for JSON are left out: moving a gateway buys nothing again.
        """
        identity = {
            "format": _DIGEST_FORMAT,
            "role": self.role,
            "item": self.item,
            "attempt": self.attempt,
            "model": self.settings.model,
            "temperature": self.settings.temperature,
            "max_output_tokens": self.settings.max_output_tokens,
            "parameters": self.settings.parameters,
            "system": self.system,
            "user": self.user,
            "schema": self.answer_schema,
        }
        canonical = json.dumps(identity, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def estimated_tokens(self) -> int:
        """Tokens of the request and of the longest answer, roughly."""
        return (len(self.system) + len(self.user)) // _CHARACTERS_PER_TOKEN + self.settings.max_output_tokens

    def payload(
        self, output_limit_member: Literal["max_tokens", "max_completion_tokens"], *, structured: bool
    ) -> dict[str, JsonValue]:
        """Write the body of the request.

        ``structured`` asks for the schema beside the prompt, which names it in any case.
        """
        payload: dict[str, JsonValue] = {
            **self.settings.parameters,
            "model": self.settings.model,
            "messages": [{"role": "system", "content": self.system}, {"role": "user", "content": self.user}],
            output_limit_member: self.settings.max_output_tokens,
        }
        if self.settings.temperature is not None:
            payload["temperature"] = self.settings.temperature
        if structured:
            payload["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": self.answer_name, "strict": True, "schema": self.answer_schema},
            }
        return payload
