"""What the compact backend hands to the model, and lets it encode before any caller waits for it."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from compact_model.inputs import parse_candidate
from tests.support.fakes import make_set

from archrouter.domain.conversation import Conversation, Message, Role
from archrouter.domain.errors import (
    ArchRouterError,
    BackendProtocolError,
    BackendUnavailableError,
    ModelNotReadyError,
    OverloadedError,
    PromptTooLongError,
)
from archrouter.domain.policy import RoutePolicy
from archrouter.domain.posterior import Calibration, IsotonicMap
from archrouter.domain.scoring import CalibrationReference, Overflow, ScoringRequest
from archrouter.inference import tensors
from archrouter.inference.compact import CompactBackend, _candidate_json
from archrouter.inference.per_policy_set import INLINE_CAPACITY, WARM_UP
from archrouter.inference.triton_client import NamedArray, Outputs, TritonClient

SET = make_set("desk")
PARAMETERS = {
    tensors.PARAMETER_MODEL_VERSION: "sha256:1",
    tensors.PARAMETER_TOKENIZER_DIGEST: "sha256:2",
    tensors.PARAMETER_MAX_PROMPT_TOKEN_COUNT: "300",
    tensors.PARAMETER_CALIBRATION: json.dumps({"temperature": 1.0, "sample_count": 1}),
}


class Connection(TritonClient):
    """Notes the ids of the candidates it is asked about; fails while it is down."""

    def __init__(self) -> None:
        """Start without a channel."""
        self.asked: list[list[str]] = []
        self.values: list[object] = []
        self.parameters = dict(PARAMETERS)
        self.conversations: list[list[dict[str, str]]] = []
        self.said_count = 0
        self.failure: ArchRouterError | None = None

    async def model_parameters(self, *_: object, **__: object) -> dict[str, str]:
        """Give what config.pbtxt would say."""
        return self.parameters

    async def infer(self, model: str, inputs: Sequence[NamedArray], *_: object, **__: object) -> Outputs:
        """Answer with a score of 0 for each candidate and every count the same, or fail like a server that is gone."""
        del model
        if self.failure is not None:
            raise self.failure
        ids = [json.loads(candidate)["id"] for candidate in inputs[1].value.tolist()]
        self.asked.append(ids)
        self.values.append(inputs[1])
        self.conversations.append(json.loads(inputs[0].value[0]))
        counts = {tensor.name: np.full(1, self.said_count, np.int32) for tensor in tensors.COMPACT_ROUTER.outputs}
        return counts | {tensors.SCORES.name: np.zeros(len(ids) + 1, np.float32)}


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


async def test_inline_sets_do_not_push_out_a_served_one(connection: Connection) -> None:
    """However many come, the served set's candidates are not made again."""
    backend = CompactBackend(connection, "compact_router")
    await backend.warm_up(timeout_s=1.0)
    await backend.prepare(SET)
    made = backend._candidates.held[SET.revision]
    for number in range(INLINE_CAPACITY + 1):
        await backend.score(replace(WARM_UP, policy_set=make_set(f"inline-{number}")), timeout_s=1.0)

    await backend.score(replace(WARM_UP, policy_set=SET), timeout_s=1.0)

    assert made is connection.values[-1]


@pytest.mark.parametrize(
    ("parameter", "calibration"),
    [
        ({"temperature": 1.5, "sample_count": 3}, Calibration(1.5, 3)),
        ({"kind": "temperature", "temperature": 1, "sample_count": 3}, Calibration(1.0, 3)),
        (
            {
                "kind": "isotonic",
                "temperature": 2.0,
                "knots": [{"input": 0, "output": 0.1}, {"input": 1, "output": 0.8}],
                "sample_count": 3,
            },
            Calibration(2.0, 3, IsotonicMap((0.0, 1.0), (0.1, 0.8))),
        ),
    ],
)
async def test_every_kind_of_calibration_is_read(
    connection: Connection, parameter: dict[str, object], calibration: Calibration
) -> None:
    """An isotonic map stays one."""
    connection.parameters[tensors.PARAMETER_CALIBRATION] = json.dumps(parameter)

    assert calibration == (await CompactBackend(connection, "m").warm_up(timeout_s=1.0)).calibration


@pytest.mark.parametrize(
    "text",
    [
        *("[]", "null", "1", '"text"', "{", "", "{}", '{"temperature": null, "sample_count": 1}'),
        '{"kind": "beta", "temperature": 1.0, "sample_count": 1}',
        '{"kind": "isotonic", "temperature": 1.0, "sample_count": 1}',
        '{"kind": "isotonic", "knots": [{"input": 0, "output": 1}, {"input": 1, "output": 0}], "sample_count": 1}',
        '{"temperature": 0, "sample_count": 1}',
    ],
)
async def test_a_calibration_of_another_shape_breaks_the_contract(connection: Connection, text: str) -> None:
    """Whatever a model says, the watch of its endpoint goes on and names the parameter."""
    connection.parameters[tensors.PARAMETER_CALIBRATION] = text

    with pytest.raises(BackendProtocolError, match="'calibration'"):
        await CompactBackend(connection, "m").warm_up(timeout_s=1.0)


async def test_a_reference_of_the_calibration_is_read_where_there_is_one(connection: Connection) -> None:
    """A model without one serves all the same."""
    assert (await CompactBackend(connection, "m").warm_up(timeout_s=1.0)).reference is None
    deciles = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    reference = {"top_probability_deciles": deciles, "no_match_share": 0.25, "mean_entropy": 0.5, "sample_count": 9}
    connection.parameters[tensors.PARAMETER_CALIBRATION_REFERENCE] = json.dumps(reference)

    profile = await CompactBackend(connection, "m").warm_up(timeout_s=1.0)

    assert CalibrationReference(tuple(deciles), 0.25, 0.5) == profile.reference


@pytest.mark.parametrize(
    ("deciles", "share", "entropy"),
    [
        ([0.5] * 8, 0.5, 0.5),
        ([0.5] * 8 + [0.4], 0.5, 0.5),
        ([0.5] * 8 + [1.1], 0.5, 0.5),
        ([0.5] * 9, 1.5, 0.5),
        ([0.5] * 9, 0.5, -0.5),
        (None, 0.5, 0.5),
    ],
)
async def test_a_reference_of_another_shape_breaks_the_contract(
    connection: Connection, deciles: list[float] | None, share: float, entropy: float
) -> None:
    """The parameter is named, as that of the calibration is."""
    reference = {"top_probability_deciles": deciles, "no_match_share": share, "mean_entropy": entropy}
    connection.parameters[tensors.PARAMETER_CALIBRATION_REFERENCE] = json.dumps(reference)

    with pytest.raises(BackendProtocolError, match="'calibration_reference'"):
        await CompactBackend(connection, "m").warm_up(timeout_s=1.0)


@pytest.fixture
async def backend(connection: Connection) -> CompactBackend:
    """Return a backend that reads 300 tokens."""
    backend = CompactBackend(connection, "compact_router")
    await backend.warm_up(timeout_s=1.0)
    return backend


async def test_what_follows_the_latest_user_message_is_neither_handed_over_nor_dropped(
    connection: Connection, backend: CompactBackend
) -> None:
    """An assistant's words after the question are not read by design; REJECT has nothing to refuse."""
    messages = tuple(Message(role, "words") for role in (Role.ASSISTANT, Role.USER, Role.ASSISTANT))
    request = ScoringRequest(SET, Conversation.from_messages(messages), Overflow.REJECT)

    scoring = await backend.score(request, timeout_s=1.0)

    assert ["assistant", "user"] == [message["role"] for message in connection.conversations[-1]]
    assert (0, 0) == (scoring.usage.dropped_message_count, scoring.usage.dropped_token_count)


async def test_a_huge_conversation_is_cut_before_it_is_sent(connection: Connection, backend: CompactBackend) -> None:
    """Four megabytes never cross the wire; what the service leaves out is added to what the model does."""
    conversation = Conversation.from_messages((Message(Role.USER, "word " * 20_000),) * 41)
    connection.said_count = 2

    usage = (await backend.score(ScoringRequest(SET, conversation), timeout_s=1.0)).usage

    assert sum(len(message["content"]) for message in connection.conversations[-1]) < 60_000
    assert 41 + 2 == usage.dropped_message_count + len(connection.conversations[-1])
    assert usage.dropped_token_count > 1_000_000


async def test_a_refused_conversation_is_told_what_would_be_read_of_it(
    connection: Connection, backend: CompactBackend
) -> None:
    """Of each message before the question the model reads a share: it may drop tokens of a short conversation."""
    connection.said_count = 5
    request = ScoringRequest(SET, WARM_UP.conversation, Overflow.REJECT)

    with pytest.raises(PromptTooLongError, match="has 10 tokens, the model would read 5 of them") as caught:
        await backend.score(request, timeout_s=1.0)

    assert (10, 300) == (caught.value.prompt_token_count, caught.value.max_prompt_token_count)


def test_candidates_tell_examples_only_where_there_are_any() -> None:
    """A model that knows nothing of examples sees what it always saw; the committed one reads both kinds."""
    plain = RoutePolicy("code", "", "", "Writing code", ())
    told = replace(plain, examples=("write a script",), not_examples=("write a poem",))

    tensors = [_candidate_json(plain), _candidate_json(told), _candidate_json(replace(told, not_examples=()))]

    keys = ["id", "domain", "action", "description"]
    assert [keys, [*keys, "examples", "not_examples"], [*keys, "examples"]] == [
        list(json.loads(tensor)) for tensor in tensors
    ]
    assert ["write a script"] == json.loads(tensors[1])["examples"]
    assert ["Writing code"] * 3 == [parse_candidate(tensor, 0).description for tensor in tensors]
