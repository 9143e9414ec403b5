"""A cancelled decision does not go on in its thread."""

import asyncio
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from archrouter.inference import language_model
from archrouter.inference.language_model import LanguageModelBackend
from archrouter.inference.triton_client import TritonClient

PATIENCE_S = 10.0


class Connection(TritonClient):
    """A Triton whose model is configured somehow."""

    def __init__(self) -> None:
        """Start without a channel."""

    async def model_config(self, *_: object, **__: object) -> None:
        """Give something to check."""


class EndlessPrompt:
    """Tokenises until it is told to stop."""

    def __init__(self) -> None:
        """Start idle."""
        self.started, self.stopped = threading.Event(), threading.Event()

    def assemble(self, _conversation: object, _overflow: object, is_abandoned: Callable[[], bool]) -> None:
        """Go on while somebody waits."""
        self.started.set()
        pause = threading.Event()
        while not is_abandoned():
            pause.wait(0.001)
        self.stopped.set()


async def test_a_cancelled_call_stops_its_tokenising(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread learns that its caller has gone."""
    prompt = EndlessPrompt()
    bundle: Any = SimpleNamespace(compiler=SimpleNamespace(compile=lambda _: prompt))  # all that is used of it
    monkeypatch.setattr(language_model, "check_language_model", lambda *_: None)
    call = asyncio.create_task(LanguageModelBackend(Connection(), "model", bundle).warm_up(timeout_s=PATIENCE_S))
    assert await asyncio.to_thread(prompt.started.wait, PATIENCE_S)

    call.cancel()

    assert await asyncio.to_thread(prompt.stopped.wait, PATIENCE_S)
    with pytest.raises(asyncio.CancelledError):
        await call
