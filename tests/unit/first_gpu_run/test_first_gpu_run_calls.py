"""Checks of single calls tell what confirms them from what does not, on recorded answers."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from first_gpu_run.checks import Status
from first_gpu_run.host import Host
from first_gpu_run.wire import Answer, Call
from recorded_wire import RecordedWire, answered, outcome, refused, rows_of, usual

from archrouter.bundles.loader import PromptBundle

TOO_LONG = "INTERNAL: Prompt length (1024) exceeds maximum input length (1023)."


@pytest.mark.parametrize(
    ("answer", "status", "saw"),
    [
        (usual, Status.CONFIRMED, "float32 [1, 1, 1, 1024]"),
        (
            lambda c: answered(**rows_of(c, generation_logits=np.zeros((1, 1, 1, 1000), np.float32))),
            Status.DIFFERENT,
            "float32 [1, 1, 1, 1000]",
        ),
        (
            lambda c: answered(**rows_of(c, generation_logits=np.zeros((1, 1, 1, 1024), np.float16))),
            Status.DIFFERENT,
            "float16 [1, 1, 1, 1024]",
        ),
        (
            lambda c: answered(**rows_of(c, generation_logits=np.full((1, 1, 1, 1024), np.nan, np.float32))),
            Status.DIFFERENT,
            "float32",
        ),
        (lambda _c: refused("INTERNAL: no"), Status.DIFFERENT, "INTERNAL: no"),
        (lambda _c: answered(), Status.DIFFERENT, "no generation_logits in the answer"),
    ],
)
def test_logits(host: Host, answer: Callable[[Call], Answer], status: Status, saw: str) -> None:
    """Shape, type and finite values all count."""
    found = outcome("logits", dataclasses.replace(host, wire=RecordedWire(answer)))

    assert status is found[0]
    assert saw in found[1]


def test_logits_flag(host: Host) -> None:
    """The refusal's text is what the service relies on."""
    text = "INTERNAL: To return generation logits, gather_generation_logits must be enabled in ExecutorConfig"
    refusing, answering = RecordedWire(lambda _c: refused(text)), RecordedWire(usual)

    assert (Status.CONFIRMED, text) == outcome("logits-flag", dataclasses.replace(host, without_logits=refusing))
    assert (Status.DIFFERENT, "logits without the flag") == outcome(
        "logits-flag", dataclasses.replace(host, without_logits=answering)
    )


@pytest.mark.parametrize(
    ("most", "status"), [(1023, Status.CONFIRMED), (1024, Status.DIFFERENT), (512, Status.DIFFERENT)]
)
def test_input_length(host: Host, most: int, status: Status) -> None:
    """A limit one token off is seen, in either direction."""
    limited = RecordedWire(lambda c: refused(TOO_LONG) if len(c.ids) > most else usual(c))

    assert status is outcome("input-length", dataclasses.replace(host, wire=limited))[0]
    assert [1023, 1024] == [len(call.ids) for call in limited.calls]


@pytest.mark.parametrize(
    ("change", "status"), [(0, Status.CONFIRMED), (1, Status.CONFIRMED), (-1, Status.DIFFERENT), (2, Status.DIFFERENT)]
)
def test_reuse(host: Host, change: int, status: Status) -> None:
    """A last block in part may count; one whole block less may not."""

    def answer(call: Call) -> Answer:
        blocks = (len(call.ids) - 1) // 32 + change
        return answered(**rows_of(call, kv_cache_reused_blocks=np.array([[blocks]], np.int32)))

    assert status is outcome("reuse", dataclasses.replace(host, wire=RecordedWire(answer)))[0]


def test_reuse_without_counters(host: Host) -> None:
    """Counters that are absent refute."""
    assert Status.DIFFERENT is outcome("reuse", dataclasses.replace(host, wire=RecordedWire(lambda _c: answered())))[0]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('{"route": "other"}', Status.CONFIRMED),
        ('{"route": "elsewhere"}', Status.DIFFERENT),
        ("other", Status.DIFFERENT),
    ],
)
def test_guided_call(host: Host, engine_bundle: PromptBundle, text: str, status: Status) -> None:
    """Only an answer that follows the schema counts."""
    ids = np.array([[[*engine_bundle.tokenizer.encode_text(text), engine_bundle.end_id]]], np.int32)
    outputs = {"output_ids": ids, "sequence_length": np.array([[ids.size]], np.int32)}
    served = RecordedWire(lambda _c: answered(**outputs))

    assert (status, text) == outcome("guided-call", dataclasses.replace(host, wire=served, is_guided=True))
    assert [[b"json_schema"]] == served.calls[0].extra["guided_decoding_guide_type"].tolist()


def test_guided_rows(host: Host) -> None:
    """The share of masked logits is told for both; only the first row decides."""

    def masking(row: int) -> Callable[[Call], Answer]:
        def answer(call: Call) -> Answer:
            outputs = dict(rows_of(call))
            outputs["generation_logits"][0, 0, row] = -np.inf
            return answered(**outputs)

        return answer

    later = outcome("guided-rows", dataclasses.replace(host, wire=RecordedWire(masking(1)), is_guided=True))
    first = outcome("guided-rows", dataclasses.replace(host, wire=RecordedWire(masking(0)), is_guided=True))
    none = outcome(
        "guided-rows", dataclasses.replace(host, wire=RecordedWire(lambda _c: refused("no")), is_guided=True)
    )
    assert (Status.CONFIRMED, "share of masked logits: first row 0.00, later rows up to 1.00") == later
    assert Status.DIFFERENT is first[0]
    assert (Status.DIFFERENT, "no") == none
