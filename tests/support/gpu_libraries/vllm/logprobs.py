"""Stand-in for ``vllm.logprobs``: the flat columns, each position with the chosen token first and again at its rank."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(slots=True)
class FlatLogprobs:
    """Columns over all positions."""

    start_indices: list[int] = field(default_factory=list)
    end_indices: list[int] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, rows: npt.NDArray[np.float32], chosen: list[int]) -> "FlatLogprobs":
        """Write rows the way vLLM does: the chosen token, then every token from the most likely on."""
        flat = cls()
        for row, token in zip(rows, chosen, strict=True):
            order = np.argsort(-row, kind="stable")
            flat.start_indices.append(len(flat.token_ids))
            flat.token_ids += [token, *order.tolist()]
            flat.logprobs += [float(row[token]), *row[order].tolist()]
            flat.end_indices.append(len(flat.token_ids))
        return flat
