"""The compact backend lets the model encode a policy set before any caller waits for it."""

import json

import numpy as np
import pytest
from fakes import make_set

from archrouter.domain.errors import ArchRouterError, BackendUnavailableError, ModelNotReadyError, OverloadedError
from archrouter.inference import tensors
from archrouter.inference.compact import CompactBackend
from archrouter.inference.per_policy_set import WARM_UP
from archrouter.inference.triton_client import NamedArray, TritonClient

SET = make_set("desk")
PARAMETERS = {
    tensors.PARAMETER_MODEL_VERSION: "sha256:1",
    tensors.PARAMETER_TOKENIZER_DIGEST: "sha256:2",
    tensors.PARAMETER_MAX_PROMPT_TOKEN_COUNT: "300",
    tensors.PARAMETER_CALIBRATION: json.dumps({"temperature": 1.0, "sample_count": 1}),
}


class Answer:
    """An answer with a score of 0 for each candidate."""

    def __init__(self, count: int) -> None:
        """Say for how many candidates."""
        self._count = count

    def as_numpy(self, name: str) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
        """Give one output tensor."""
        return np.zeros(self._count + 1, np.float32) if name == tensors.SCORES.name else np.zeros(1, np.int32)


class Connection(TritonClient):
    """Notes the ids of the candidates it is asked about; fails while it is down."""

    def __init__(self) -> None:
        """Start without a channel."""
        self.asked: list[list[str]] = []
        self.failure: ArchRouterError | None = None

    async def model_parameters(self, *_: object, **__: object) -> dict[str, str]:
        """Give what config.pbtxt would say."""
        return PARAMETERS

    async def infer(self, _model: str, inputs: tuple[NamedArray, ...], *_: object, **__: object) -> Answer:  # type: ignore[override]
        """Answer, or fail like a server that is gone."""
        if self.failure is not None:
            raise self.failure
        ids = [json.loads(candidate)["id"] for candidate in inputs[1].value.tolist()]
        self.asked.append(ids)
        return Answer(len(ids))


@pytest.fixture
def connection() -> Connection:
    """Return a connection that was asked nothing yet."""
    return Connection()


async def test_a_set_that_is_loaded_before_the_model_waits_for_it(connection: Connection) -> None:
    """Policies are read before Triton starts; whoever warms the model up prepares them then."""
    backend = CompactBackend(connection, "compact_router")

    await backend.prepare(SET)

    assert [] == connection.asked


async def test_a_set_is_encoded_at_once_where_the_model_is_up(connection: Connection) -> None:
    """The first caller after a reload waits no longer than the second."""
    backend = CompactBackend(connection, "compact_router")
    await backend.warm_up(timeout_s=1.0)

    await backend.prepare(SET)

    assert ["coding"] == connection.asked[-1]


@pytest.mark.parametrize(
    "failure",
    [BackendUnavailableError("gone", retry_after_s=1.0), OverloadedError("full", retry_after_s=1.0)],
)
async def test_a_model_that_is_down_or_busy_does_not_refuse_a_policy_set(
    connection: Connection, failure: ArchRouterError
) -> None:
    """Whether a set is valid does not depend on the state of a server."""
    backend = CompactBackend(connection, "compact_router")
    await backend.warm_up(timeout_s=1.0)
    connection.failure = failure

    await backend.prepare(SET)

    assert [["greeting"]] == connection.asked


async def test_nothing_is_scored_before_the_warm_up(connection: Connection) -> None:
    """The profile that a decision carries comes from the model."""
    with pytest.raises(ModelNotReadyError):
        await CompactBackend(connection, "compact_router").score(WARM_UP, timeout_s=1.0)
