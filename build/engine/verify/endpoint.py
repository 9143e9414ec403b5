"""The endpoint under test, and the calls that the service never makes."""

import asyncio
import contextlib
import itertools
import textwrap
import time
from dataclasses import dataclass
from functools import cached_property

import grpc
from grpc import aio

from archrouter.bundles.loader import PromptBundle
from archrouter.domain.errors import ArchRouterError, BudgetExceededError
from archrouter.domain.prompt import Prompt
from archrouter.domain.tokens import TokenIds
from archrouter.inference.generation import generate
from archrouter.inference.per_policy_set import WARM_UP
from archrouter.inference.triton_client import TritonClient

_NEVER_ENDS = -1
"""As end token: generation runs to the length that was asked for, in both backends."""

_MEASURED_TOKENS = 32
_SHOWN_CHARACTERS = 200
_READY_TIMEOUT_S, _READY_POLL_S = 5.0, 0.1


@dataclass(frozen=True)
class Endpoint:
    """What is verified: a model of a Triton, and the bundle it should belong to.

    It may be made for fewer than ``max_seq_len`` tokens of prompt and answer; ``vocab_size`` counts padding.
    """

    connection: TritonClient
    model: str
    bundle: PromptBundle
    max_seq_len: int
    vocab_size: int
    call_timeout_s: float

    @cached_property
    def sample_prompt(self) -> Prompt:
        """A small real prompt."""
        return self.bundle.compiler.compile(WARM_UP.policy_set).assemble(WARM_UP.conversation)

    def prompt_of_length(self, token_count: int) -> TokenIds:
        """Make a prompt of a length by repeating the sample."""
        return tuple(itertools.islice(itertools.cycle(self.sample_prompt.ids), token_count))

    async def run_on(
        self, token_count: int, *, prompt: TokenIds = (), connection: TritonClient | None = None
    ) -> TokenIds:
        """Let the model generate without an end."""
        return await generate(
            connection or self.connection,
            self.model,
            prompt or self.sample_prompt.ids,
            end_id=_NEVER_ENDS,
            pad_id=self.bundle.pad_id,
            max_token_count=token_count,
            timeout_s=self.call_timeout_s,
        )

    async def tokens_in(self, duration_s: float, *, fewest: int, most: int) -> int:
        """Find out how many tokens the model generates in a time."""
        await self.run_on(_MEASURED_TOKENS)  # the prompt's tokens are in the cache from here on
        started_s = time.perf_counter()
        await self.run_on(_MEASURED_TOKENS)
        per_token_s = (time.perf_counter() - started_s) / _MEASURED_TOKENS
        return max(fewest, min(most, round(duration_s / per_token_s)))


async def wait_until_ready(connection: TritonClient, model: str, *, timeout_s: float) -> None:
    """Give a connection and a model a moment: on a busy machine the first attempt to connect may fail."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(min(timeout_s, _READY_TIMEOUT_S)):
            while not await connection.is_model_ready(model, timeout_s=timeout_s):  # noqa: ASYNC110  # another process has no event
                await asyncio.sleep(_READY_POLL_S)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call has no answer: what Triton said with which gRPC status, or with none what is wrong with the answer."""

    status: str
    text: str

    def __str__(self) -> str:
        """Write both on one line, shortened."""
        return textwrap.shorten(f"{self.status} {self.text}", _SHOWN_CHARACTERS, placeholder=" …")


def refusal_of(error: ArchRouterError) -> Refusal:
    """Look behind a domain error."""
    if isinstance(error, BudgetExceededError):
        return Refusal(grpc.StatusCode.DEADLINE_EXCEEDED.name, "no answer in time")
    cause = error.__cause__
    if isinstance(cause, aio.AioRpcError):
        return Refusal(cause.code().name, cause.details() or "")
    return Refusal("", str(error))
