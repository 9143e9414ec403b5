"""Simpler heads on the same encoder, trained beside the reader only to be compared with it."""

import torch
from torch import Tensor, nn

from compact_router.network import START_NO_MATCH, START_SCALE, WIDTH


class Rivals(nn.Module):  # type: ignore[misc, unused-ignore]  # torch may be absent where types are checked
    """A bi-encoder and late interaction, each with a learned no match."""

    def __init__(self) -> None:
        """Start both from what the sentence encoder gives."""
        super().__init__()
        self.scales = nn.Parameter(torch.tensor([START_SCALE, START_SCALE]))
        self.no_match = nn.Linear(WIDTH, 2)
        self.project = nn.Linear(WIDTH, 128)
        nn.init.zeros_(self.no_match.weight)
        nn.init.constant_(self.no_match.bias, START_NO_MATCH)

    def forward(
        self,
        vectors: Tensor,
        states: Tensor,
        state_mask: Tensor,
        pool: Tensor,
        pool_states: Tensor,
        pool_mask: Tensor,
        pool_index: Tensor,
        candidate_mask: Tensor,
    ) -> dict[str, Tensor]:
        """Score with both.

        Args:
            vectors: [batch, 384], unit vectors of the conversations.
            states: [batch, T, 384].
            state_mask: bool [batch, T].
            pool: [P, 384], unit vectors of the distinct candidates.
            pool_states: [P, L, 384].
            pool_mask: bool [P, L].
            pool_index: int64 [batch, C].
            candidate_mask: bool [batch, C].

        Returns:
            ``bi-encoder`` and ``late interaction``, each [batch, C + 1]; no match is the last.
        """
        cosines = (pool[pool_index] @ vectors.unsqueeze(-1)).squeeze(-1)
        said = nn.functional.normalize(self.project(states.float()), dim=-1)
        routes = nn.functional.normalize(self.project(pool_states.float()), dim=-1)
        alike = torch.einsum("btd,pld->bplt", said, routes).masked_fill(~state_mask[:, None, None, :], -1.0)
        nearest = alike.amax(dim=-1).masked_fill(~pool_mask[None], 0.0)
        late = nearest.sum(dim=-1) / pool_mask.sum(dim=-1)
        late = late.gather(1, pool_index)
        none = self.no_match(vectors)
        return {
            name: torch.cat([(self.scales[at] * each).masked_fill(~candidate_mask, -1e4), none[:, at : at + 1]], dim=1)
            for at, (name, each) in enumerate((("bi-encoder", cosines), ("late interaction", late)))
        }
