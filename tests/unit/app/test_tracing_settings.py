"""When the service traces."""

import sys
from contextlib import AsyncExitStack

import pytest

from archrouter.app.records import build_tracing
from archrouter.config import Settings, TracingSettings

WANTED = Settings(tracing=TracingSettings(otlp_endpoint="http://127.0.0.1:4317"))
MODULE = "archrouter.observability.tracing"


async def test_nothing_is_traced_and_nothing_loaded_without_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is not needed by who does not trace."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, MODULE, None)

    async with AsyncExitStack() as stack:
        assert build_tracing(Settings(), stack) is None


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
async def test_the_variables_of_opentelemetry_are_enough(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with every other program that traces."""
    monkeypatch.setenv(name, "http://127.0.0.1:4317")

    async with AsyncExitStack() as stack:
        assert build_tracing(Settings(), stack) is not None


async def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service does not start without what it was asked for, and says what to install."""
    monkeypatch.setitem(sys.modules, MODULE, None)

    async with AsyncExitStack() as stack:
        with pytest.raises(ValueError, match=r"tracing\.otlp_endpoint asks .* pip install 'archrouter\[otel\]'"):
            build_tracing(WANTED, stack)
