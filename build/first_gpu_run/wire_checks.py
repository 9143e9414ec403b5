"""Checks of single calls: logits, lengths, reuse, guided decoding."""

import json

import numpy as np

from archrouter.inference import tensors
from first_gpu_run.checks import Check, Finding
from first_gpu_run.host import Host, NotCheckedError, given
from first_gpu_run.wire import Call

LOGITS_OFF_TEXT = "gather_generation_logits must be enabled"
TOO_LONG_TEXT = "exceeds maximum input length"
GUIDED_TOKENS = 24

_MASKED = -1e30


def _logits(host: Host) -> Finding:
    wire, bundle = host.served()
    answer = wire.ask(host.calls(1)[0])
    logits = answer.outputs.get(tensors.GENERATION_LOGITS.name)
    if logits is None:
        return Finding(is_as_expected=False, saw=answer.error or "no generation_logits in the answer")
    stated = bundle.manifest.engine
    vocab_size = bundle.tokenizer.vocab_size if stated is None else stated.vocab_size
    fits = logits.shape[:3] == (1, 1, 1) and (
        logits.shape[3] >= vocab_size if stated is None else logits.shape[3] == vocab_size
    )
    return Finding(
        is_as_expected=bool(fits and logits.dtype == np.float32 and np.isfinite(logits).all()),
        saw=f"{logits.dtype} {list(logits.shape)}",
    )


def _logits_flag(host: Host) -> Finding:
    wire = given(host.without_logits, "--endpoint-without-logits, an engine built without the flag")
    answer = wire.ask(host.calls(1)[0])
    return Finding(is_as_expected=LOGITS_OFF_TEXT in answer.error, saw=answer.error or "logits without the flag")


def _input_length(host: Host) -> Finding:
    """Send the longest prompt that leaves room for one token, and one token more."""
    wire, bundle = host.served()
    stated = bundle.manifest.engine
    most = bundle.manifest.limits.max_prompt_token_count if stated is None else stated.max_seq_len - 1
    ids = host.prompts()[0]
    long = (ids * (most // len(ids) + 1))[: most + 1]
    accepted, refused = (wire.ask(Call(prompt, is_asking_logits=False)) for prompt in (long[:most], long))
    return Finding(
        is_as_expected=not accepted.error and TOO_LONG_TEXT in refused.error,
        saw=f"{most} tokens: {accepted.error or 'answered'}; {most + 1} tokens: {refused.error or 'answered'}",
    )


def _reuse(host: Host) -> Finding:
    """Ask the same prompt twice; every whole block but that of the last token is reused."""
    wire, _ = host.served()
    call = host.calls(1)[0]
    wire.ask(call)
    answer = wire.ask(call)
    blocks = answer.outputs.get(tensors.KV_REUSED_BLOCKS.name)
    if blocks is None:
        return Finding(is_as_expected=False, saw=answer.error or "no kv_cache_reused_blocks in the answer")
    reused, expected = int(blocks.item()), (len(call.ids) - 1) // tensors.TOKENS_PER_BLOCK
    return Finding(
        is_as_expected=expected <= reused <= expected + 1,
        saw=f"{reused} blocks reused of {len(call.ids)} tokens, {expected} are whole",
    )


def _guide(host: Host) -> Call:
    if not host.is_guided:
        msg = "--guided, a model loaded with guided_decoding_backend xgrammar"
        raise NotCheckedError(msg)
    _, bundle = host.served()
    schema = {"type": "object", "properties": {"route": {"enum": ["bug_fixing", "other"]}}, "required": ["route"]}
    guide = {
        "guided_decoding_guide_type": np.array([[b"json_schema"]], np.object_),
        "guided_decoding_guide": np.array([[json.dumps(schema).encode()]], np.object_),
    }
    return Call(host.prompts()[0], GUIDED_TOKENS, end_id=bundle.end_id, extra=guide)


def _guided_call(host: Host) -> Finding:
    call = _guide(host)
    wire, bundle = host.served()
    answer = wire.ask(call)
    ids = answer.outputs.get(tensors.OUTPUT_IDS.name)
    if ids is None:
        return Finding(is_as_expected=False, saw=answer.error or "no output_ids in the answer")
    length = int(answer.outputs[tensors.SEQUENCE_LENGTH.name].item())
    kept = [token for token in ids.ravel()[:length].tolist() if token != bundle.end_id]
    text = bundle.tokenizer.decode(kept)
    try:
        route = json.loads(text)["route"]
    except (ValueError, KeyError, TypeError):
        route = None
    return Finding(is_as_expected=route in ("bug_fixing", "other"), saw=text)


def _guided_rows(host: Host) -> Finding:
    call = _guide(host)
    answer = host.served()[0].ask(call)
    logits = answer.outputs.get(tensors.GENERATION_LOGITS.name)
    if logits is None:
        return Finding(is_as_expected=False, saw=answer.error or "no generation_logits in the answer")
    masked = (logits[0, 0] <= _MASKED).mean(axis=1)
    return Finding(
        is_as_expected=bool(masked[0] == 0.0),
        saw=f"share of masked logits: first row {masked[0]:.2f}, later rows up to {masked[1:].max():.2f}",
    )


WIRE_CHECKS = (
    Check("logits", "one new token gives finite float32 logits of shape [1, 1, 1, vocabulary]", _logits),
    Check("logits-flag", "an engine built without --gather_generation_logits refuses logits by name", _logits_flag),
    Check("input-length", "a prompt of max_seq_len - 1 tokens is answered, one token more is refused", _input_length),
    Check("reuse", "the second of two identical prompts reuses every whole block of 32 tokens", _reuse),
    Check("guided-call", "a JSON schema as guide gives an answer that follows it", _guided_call),
    Check("guided-rows", "a grammar never masks the first row of logits", _guided_rows),
)
