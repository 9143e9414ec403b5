"""Plain greedy generation over the language model's tensors: for probing weights, never for decisions."""

from collections.abc import Sequence

import numpy as np

from archrouter.domain.errors import BackendProtocolError
from archrouter.domain.tokens import TokenIds
from archrouter.inference import tensors
from archrouter.inference.triton_client import NamedArray, TritonClient, scalar


async def generate(
    connection: TritonClient,
    model: str,
    prompt: Sequence[int],
    *,
    end_id: int,
    pad_id: int,
    max_token_count: int,
    timeout_s: float,
) -> TokenIds:
    """Continue a prompt, at least one token id, greedily; return the generated ids without the end token.

    One call of at most `timeout_s` seconds, for `max_token_count` >= 1 tokens; it fails as every call to Triton does.
    """
    ids = np.array([list(prompt)], dtype=np.int32)
    inputs = [
        NamedArray(tensors.INPUT_IDS, ids),
        scalar(tensors.INPUT_LENGTHS, ids.shape[1], np.int32),
        scalar(tensors.REQUEST_OUTPUT_LEN, max_token_count, np.int32),
        scalar(tensors.END_ID, end_id, np.int32),
        scalar(tensors.PAD_ID, pad_id, np.int32),
        scalar(tensors.RUNTIME_TOP_K, 1, np.int32),
        scalar(tensors.TEMPERATURE, 1.0, np.float32),
        scalar(tensors.EXCLUDE_INPUT_IN_OUTPUT, value=True, dtype=np.bool_),
    ]
    outputs = (tensors.OUTPUT_IDS, tensors.SEQUENCE_LENGTH)
    answer = await connection.infer(model, inputs, outputs, timeout_s=timeout_s)
    generated, length = answer.get(tensors.OUTPUT_IDS.name), answer.get(tensors.SEQUENCE_LENGTH.name)
    if generated is None or length is None or generated.ndim != 3 or length.shape != (1, 1):  # noqa: PLR2004  # [1, beam, L]
        msg = "outputs 'output_ids' and 'sequence_length' are not of the contract's shapes [1, 1, L] and [1, 1]"
        raise BackendProtocolError(msg)
    kept = generated[0, 0, : int(length[0, 0])].tolist()
    return tuple(kept[: kept.index(end_id)] if end_id in kept else kept)
