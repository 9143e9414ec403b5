"""A call that asks for everything."""

import numpy as np
import pytest
from lm_backend.requests import GenerationRequest


@pytest.fixture
def base_request() -> GenerationRequest:
    """Give a call of one prompt token for up to four new ones that asks for everything and lists every output."""
    return GenerationRequest(
        input_ids=np.zeros(1, np.int32),
        max_new_tokens=4,
        end_id=-1,
        temperature=1.0,
        embedding_bias=np.zeros(0, np.float32),
        pinned_tokens=0,
        pin_duration_ms=None,
        return_log_probs=True,
        return_generation_logits=True,
        return_perf_metrics=True,
        return_num_input_tokens=True,
        return_num_output_tokens=True,
        exclude_input_in_output=True,
        requested_outputs=frozenset(
            {
                "output_ids",
                "sequence_length",
                "cum_log_probs",
                "output_log_probs",
                "generation_logits",
                "kv_cache_reused_blocks",
                "kv_cache_alloc_new_blocks",
                "kv_cache_alloc_total_blocks",
                "arrival_time_ns",
                "first_scheduled_time_ns",
                "first_token_time_ns",
                "last_token_time_ns",
                "acceptance_rate",
                "total_accepted_draft_tokens",
                "total_draft_tokens",
                "num_input_tokens",
                "num_output_tokens",
            }
        ),
    )
