"""The network: a sentence encoder, and a small reader in which routes look at the conversation and at each other.

The encoder reads the conversation once and each candidate once; candidates' vectors can be kept. The reader gives every
candidate, and no match, a correction of its cosine. Nothing in it depends on the order of candidates, nor on that of a
candidate's examples; a candidate without any is read as if there were no such thing.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertModel

WIDTH = 384
HEADS = 6
FEED_FORWARD_WIDTH = 768
READER_LAYERS = 2
TRAINED_LAYERS = 3
"""Of the encoder's, the uppermost. The others cost nothing in training, since their states are kept, and keep what they
know."""

MASKED = -1e4
"""Added to the logit of what is not there."""

START_SCALE = 16.0
START_NO_MATCH = 5.0
"""Logit scale of the cosine, and no match's logit, before training."""

LIKENESS_WEIGHT, NOT_LIKENESS_WEIGHT = 4.0, -4.0
EVEN_LIKENESS, EVEN_NOT_LIKENESS = 0.48, 0.36
"""What likeness to examples, and to what a route is not for, counts in a logit before training, and the cosine at which
it counts nothing. Single numbers hardly move in training: Adam takes them no further than rate times steps. The first
pair was the best for the services held out: with five examples a route 66.0 % instead of 64.1 % of 1,307 requests."""


class Encoder(nn.Module):  # type: ignore[misc, unused-ignore]  # torch may be absent where types are checked
    """Token states of a sequence, and a weighted mean over the tokens of type 0 scaled to length 1.

    What tells the types apart where the upper layers begin, and how much a token weighs in the mean, are learned, and
    start as nothing: an encoder that was never trained on two types of tokens barely tells them apart, and greetings
    and pasted pages weigh as much as the request among them until training says otherwise.
    """

    def __init__(
        self, transformer: BertModel, trained_layers: int = TRAINED_LAYERS, *, is_mapped: bool = False
    ) -> None:
        """Take the weights to start from; word embeddings and all but the uppermost layers stay as they are.

        ``centre`` is what the vectors of all texts have in common, and is taken off: some encoders put them all into
        one corner, where cosines tell little. With ``is_mapped`` a linear map follows the layers, which carries their
        states to where another network's reader expects them; it starts as nothing.
        """
        super().__init__()
        self.transformer = transformer
        self.map = nn.Linear(WIDTH, WIDTH) if is_mapped else None
        if self.map is not None:
            nn.init.eye_(self.map.weight)
            nn.init.zeros_(self.map.bias)
        self.register_buffer("centre", torch.zeros(WIDTH))
        self.types, self.weight_of = nn.Embedding(2, WIDTH), nn.Parameter(torch.zeros(WIDTH))
        nn.init.zeros_(self.types.weight)
        layer_count = len(transformer.encoder.layer)
        self.frozen_layers = max(0, layer_count - trained_layers)
        # Wherever training began, the types are marked in the same place: a checkpoint is read without its plan.
        self.marked_layer = max(self.frozen_layers, layer_count - TRAINED_LAYERS)
        for part in (transformer.embeddings, *transformer.encoder.layer[: self.frozen_layers]):
            part.requires_grad_(requires_grad=False)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a batch.

        Args:
            input_ids: int64 [batch, sequence].
            token_type_ids: int64 [batch, sequence]; 0 for the text itself, 1 for context.
            attention_mask: int64 [batch, sequence], 1 for a token and 0 for padding.

        Returns:
            Unit vectors [batch, 384] and states [batch, sequence, 384].
        """
        return self.upper(self.lower(input_ids, token_type_ids, attention_mask), token_type_ids, attention_mask)

    def lower(self, input_ids: Tensor, token_type_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Run the embeddings and the layers that training leaves as they are on the input of ``forward``.

        Returns:
            States [batch, sequence, 384].
        """
        states = self.transformer.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
        return self._run(self.transformer.encoder.layer[: self.frozen_layers], states, attention_mask[:, None])

    def upper(self, states: Tensor, token_type_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Run the other layers on the states from ``lower``; gives what ``forward`` does."""
        states = self._upper(states, token_type_ids, attention_mask[:, None])
        return self._vector(states, attention_mask * (1 - token_type_ids)), states

    def together(
        self, input_ids: Tensor, token_type_ids: Tensor, position_ids: Tensor, text_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Encode texts that stand one after the other, without padding: each sees itself alone.

        Args:
            input_ids: int64 [tokens].
            token_type_ids: int64 [tokens], see ``forward``.
            position_ids: int64 [tokens], of each in its text.
            text_mask: float32 [texts, tokens], 1 for the tokens of a text.

        Returns:
            Unit vectors [texts, 384] and states [tokens, 384].
        """
        types, mask = token_type_ids[None], (text_mask.T @ text_mask)[None]
        states = self.transformer.embeddings(input_ids[None], types, position_ids[None])
        states = self._run(self.transformer.encoder.layer[: self.frozen_layers], states, mask)
        states = self._upper(states, types, mask)
        return self._vector(states, text_mask * (1 - types)), states[0]

    def _upper(self, states: Tensor, token_type_ids: Tensor, mask: Tensor) -> Tensor:
        layers = self.transformer.encoder.layer
        states = self._run(layers[self.frozen_layers : self.marked_layer], states, mask)
        states = self._run(layers[self.marked_layer :], states + self.types(token_type_ids), mask)
        return states if self.map is None else self.map(states)

    def _vector(self, states: Tensor, is_read: Tensor) -> Tensor:
        weight = (states * self.weight_of).sum(dim=-1).masked_fill(is_read == 0, MASKED).softmax(dim=-1)
        mean = functional.normalize((states * weight.unsqueeze(-1)).sum(dim=1), p=2.0, dim=1)
        return functional.normalize(mean - self.centre, p=2.0, dim=1)

    def _run(self, layers: nn.ModuleList, states: Tensor, mask: Tensor) -> Tensor:
        """Run layers; ``mask`` is 1 for what a token sees, [batch, 1 or tokens, tokens]."""
        hidden = (1.0 - mask[:, None].to(states.dtype)) * MASKED
        for layer in layers:
            states = layer(states, hidden)
        return states


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """Conversations, encoded.

    Attributes:
        vector: [batch, 384], unit vectors.
        states: [batch, T, 384], or [1, T, 384] with those of all conversations.
        mask: bool [batch, T], true for the conversation's own states.
    """

    vector: Tensor
    states: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Routes:
    """Candidates of each conversation, encoded; the first size is 1 where all have the same.

    Attributes:
        vectors: [batch, C, 384], unit vectors.
        covers_domain: int64 [batch, C], 1 for a route that stands for its domain.
        mask: bool [batch, C], false for padding.
        examples: [batch, C, E, 384], unit vectors of texts that each is for; E >= 1, if only padding.
        example_mask: bool [batch, C, E].
        not_examples: [batch, C, F, 384], of texts that it is not for; F >= 1.
        not_example_mask: bool [batch, C, F].
    """

    vectors: Tensor
    covers_domain: Tensor
    mask: Tensor
    examples: Tensor
    example_mask: Tensor
    not_examples: Tensor
    not_example_mask: Tensor


class Attention(nn.Module):  # type: ignore[misc, unused-ignore]  # see above
    """Multi-head attention of queries to keys."""

    def __init__(self) -> None:
        """Make the projections."""
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, queries: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Attend.

        Args:
            queries: [batch, N, 384].
            keys: [batch or 1, M, 384].
            mask: bool [batch or 1, M], true where there is a key.

        Returns:
            [batch, N, 384].
        """
        query, key, value = (
            part.reshape(part.shape[0], -1, HEADS, WIDTH // HEADS).transpose(1, 2)
            for part in (self.query(queries), self.key(keys), self.value(keys))
        )
        scores = query @ key.transpose(2, 3) * (WIDTH // HEADS) ** -0.5
        scores = scores.masked_fill(~mask[:, None, None, :], MASKED)
        read = (scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(queries.shape)
        return self.output(read)


class ReaderLayer(nn.Module):  # type: ignore[misc, unused-ignore]  # see above
    """Routes look at the conversation, then at each other, then think."""

    def __init__(self, dropout: float) -> None:
        """Make the parts."""
        super().__init__()
        self.across, self.among = Attention(), Attention()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3))
        self.widen, self.narrow = nn.Linear(WIDTH, FEED_FORWARD_WIDTH), nn.Linear(FEED_FORWARD_WIDTH, WIDTH)
        self.dropout = nn.Dropout(dropout)

    def forward(self, routes: Tensor, route_mask: Tensor, states: Tensor, state_mask: Tensor) -> Tensor:
        """Read.

        Args:
            routes: [batch, N, 384].
            route_mask: bool [batch, N].
            states: [batch, T, 384].
            state_mask: bool [batch, T].

        Returns:
            [batch, N, 384].
        """
        routes = routes + self.dropout(self.across(self.norms[0](routes), states, state_mask))
        beside = self.norms[1](routes)
        routes = routes + self.dropout(self.among(beside, beside, route_mask))
        return routes + self.dropout(self.narrow(functional.gelu(self.widen(self.norms[2](routes)))))


class Examples(nn.Module):  # type: ignore[misc, unused-ignore]  # see above
    """What examples of one kind add to a candidate: what they are like before training, and nothing without any."""

    def __init__(self, weight: float, even: float) -> None:
        """Make the parts: likeness counts ``weight`` before training, nothing where the cosine is ``even``."""
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(START_SCALE))
        self.weight, self.presence = nn.Parameter(torch.tensor(weight)), nn.Parameter(torch.tensor(-weight * even))
        self.read_in, self.product_in = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(2))
        nn.init.zeros_(self.read_in.weight)
        nn.init.zeros_(self.product_in.weight)

    def forward(self, vector: Tensor, examples: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Find the examples that are like the conversation.

        Args:
            vector: [batch, 384], unit vectors of the conversations.
            examples: [batch, C, E, 384], unit vectors, E >= 1.
            mask: bool [batch, C, E], false for padding.

        Returns:
            What the candidates read of them, [batch, C, 384], and what their likeness adds to the scores, [batch, C].
        """
        cosines = (examples @ vector[:, None, :, None]).squeeze(-1)
        present = mask.to(cosines.dtype)
        attention = (self.sharpness * cosines).masked_fill(~mask, MASKED).softmax(dim=-1) * present
        nearest = (attention.unsqueeze(-2) @ examples).squeeze(-2)
        read = self.read_in(nearest * WIDTH**0.5) + self.product_in(nearest * vector.unsqueeze(1) * WIDTH)
        likeness = (attention * cosines).sum(dim=-1)
        return read, self.weight * likeness + self.presence * present.amax(dim=-1)


class Reader(nn.Module):  # type: ignore[misc, unused-ignore]  # see above
    """Scores of candidates and of no match."""

    def __init__(self, layer_count: int = READER_LAYERS, dropout: float = 0.1) -> None:
        """Make the parts; before training the scores are the scaled cosines, and what likeness to examples adds.

        With no layers there are only the cosines and a learned no match.
        """
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(START_SCALE))
        self.no_match = nn.Linear(WIDTH, 1)
        nn.init.zeros_(self.no_match.weight)
        nn.init.constant_(self.no_match.bias, START_NO_MATCH)
        self.layers = nn.ModuleList(ReaderLayer(dropout) for _ in range(layer_count))
        if layer_count:
            self.route_in, self.product_in = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
            self.kinds = nn.Embedding(3, WIDTH)
            self.norm_in, self.norm_out = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.out = nn.Linear(WIDTH, 2)
            nn.init.normal_(self.out.weight, std=0.01)
            nn.init.zeros_(self.out.bias)
            self.examples = Examples(LIKENESS_WEIGHT, EVEN_LIKENESS)
            self.not_examples = Examples(NOT_LIKENESS_WEIGHT, EVEN_NOT_LIKENESS)

    def forward(self, said: Said, routes: Routes) -> Tensor:
        """Score.

        Args:
            said: The conversations.
            routes: Their candidates.

        Returns:
            [batch, C + 1]; no match is the last. Padding has -1e4.
        """
        scores = self.scale * (routes.vectors @ said.vector.unsqueeze(-1)).squeeze(-1)
        no_match = self.no_match(said.vector)
        if len(self.layers):
            read, likeness = self._read_examples(said.vector, routes)
            corrections = self._read(said, routes, read)
            scores = scores + corrections[:, :-1, 0] + likeness
            no_match = no_match + corrections[:, -1:, 1]
        return torch.cat([scores.masked_fill(~routes.mask, MASKED), no_match], dim=1)

    def _read_examples(self, vector: Tensor, routes: Routes) -> tuple[Tensor, Tensor]:
        read, likeness = self.examples(vector, routes.examples, routes.example_mask)
        read_not, likeness_not = self.not_examples(vector, routes.not_examples, routes.not_example_mask)
        return read + read_not, likeness + likeness_not

    def _read(self, said: Said, routes: Routes, of_examples: Tensor) -> Tensor:
        width = WIDTH**0.5
        product = self.product_in(routes.vectors * said.vector.unsqueeze(1) * WIDTH)
        states = self.route_in(routes.vectors * width) + product + of_examples + self.kinds(routes.covers_domain)
        no_match = (self.kinds.weight[2] + self.route_in(said.vector * width)).unsqueeze(1)
        states = self.norm_in(torch.cat([states, no_match], dim=1))
        mask = torch.cat([routes.mask, torch.ones_like(routes.mask[:, :1])], dim=1)
        for layer in self.layers:
            states = layer(states, mask, said.states, said.mask)
        return self.out(self.norm_out(states))


class Router(nn.Module):  # type: ignore[misc, unused-ignore]  # see above
    """Both parts, as they are trained together."""

    def __init__(self, encoder: Encoder, layer_count: int = READER_LAYERS) -> None:
        """Join a sentence encoder and a new reader."""
        super().__init__()
        self.encoder = encoder
        self.reader = Reader(layer_count)
