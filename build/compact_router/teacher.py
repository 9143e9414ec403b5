"""Teaches an encoder of other languages to serve a trained network's reader, beside routes that either has read.

What a text translates, the trained network reads in its stead: where it can read a conversation so, the new encoder is
to give the same posterior and the same vector; where it cannot, the right answer. Routes whose descriptions were
translated are now and then in the language of a request.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from compact_model.conversation import TextTokens
from compact_model.inputs import Candidate
from data.augment.drawing import seeded
from torch import Tensor
from torch.nn import functional

from compact_router.batches import Batch, BatchMaker, LowerStates, encode, judge
from compact_router.learner import LOWER_STATE_CAPACITY, load_router
from compact_router.network import Router, Said
from compact_router.plan import LIMITS
from compact_router.pretrained import text_reader
from compact_router.services import read_translations
from compact_router.talk import ENGLISH
from compact_router.views import View

PAIRS = 64
"""Translations a step and process, each beside its original."""

VECTOR_WEIGHT = 3.0
"""Of the losses against vectors, which lie between 0 and 2."""

LIKENESS_SCALE = 20.0
"""Of cosines to other texts as logits."""


@dataclass(frozen=True, slots=True, eq=False)
class VectorLesson:
    """Texts, and what the trained network makes of them or of what they translate.

    Attributes:
        texts: As the new encoder reads them.
        originals: float32 [N, 384], the trained network's vectors.
    """

    texts: Sequence[TextTokens]
    originals: Tensor

    @property
    def labels(self) -> Tensor:
        """Each text's own original."""
        return torch.arange(len(self.texts))

    def loss(self, router: Router, lower: LowerStates) -> tuple[Tensor, Tensor]:
        """Encode the texts: off by the distance of each vector to its own, and by how it differs from the others."""
        return self.loss_of(self.encode(router, lower))

    def encode(self, router: Router, lower: LowerStates) -> Tensor:
        """Give the new encoder's vectors, float32 [N, 384]."""
        return encode(router.encoder, lower, self.texts)[0].float()

    def loss_of(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Compare vectors of the texts with those they are to be; gives the loss, and cosines to all as logits."""
        likeness = (LIKENESS_SCALE * self.originals @ self.originals.T).softmax(dim=1)
        logits = LIKENESS_SCALE * vectors @ self.originals.T
        distances = 1.0 - (vectors * self.originals).sum(dim=-1)
        differences = functional.kl_div(logits.log_softmax(dim=1), likeness, reduction="batchmean")
        return VECTOR_WEIGHT * distances.mean() + differences, logits


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What the trained network makes of a batch.

    Attributes:
        batch: Conversations as the new encoder reads them, and candidates.
        pool: The batch's distinct candidates, as the trained network encodes them, [P, 384].
        posterior: float32 [B, C + 1].
        said: The conversations' unit vectors, float32 [B, 384].
        is_read: float32 [B], 1 where it reads what was said.
        translations: Drawn to it; the first ones are of candidates.
        translated: int64 [R], the places of those in ``pool``: they are in another language this time.
    """

    batch: Batch
    pool: Tensor
    posterior: Tensor
    said: Tensor
    is_read: Tensor
    translations: VectorLesson
    translated: Tensor

    @property
    def labels(self) -> Tensor:
        """The right answers."""
        return self.batch.labels

    def loss(self, router: Router, lower: LowerStates) -> tuple[Tensor, Tensor]:
        """Answer the batch with a network whose reader is the trained one's; gives the loss and the logits."""
        router.reader.eval()  # it is not trained, so nothing is dropped
        vectors, states, mask = encode(router.encoder, lower, self.batch.conversations)
        texts = self.translations.encode(router, lower)
        pool = self.pool.index_copy(0, self.translated, texts[: len(self.translated)])
        logits, _ = judge(router, self.batch, Said(vectors, states, mask), pool)
        judgements = functional.kl_div(logits.log_softmax(dim=1), self.posterior, reduction="none").sum(dim=1)
        said = 1.0 - (vectors.float() * self.said).sum(dim=-1)
        taught = ((judgements + VECTOR_WEIGHT * said) * self.is_read).mean()
        pairs, _ = self.translations.loss_of(texts)
        return functional.cross_entropy(logits, self.batch.labels) + taught + pairs, logits


class Teacher:
    """A trained network, and translations of what it was trained with."""

    def __init__(self, checkpoint: Path, services: Path, maker: BatchMaker) -> None:
        """Load both; ``maker`` reads texts for the new encoder."""
        self._router, encoder = load_router(checkpoint)
        self._own, self._maker = BatchMaker(text_reader(encoder), LIMITS), maker
        self._lower = LowerStates(self._router.encoder, LOWER_STATE_CAPACITY)
        self._translations = read_translations(services)
        self._pairs = [pair for language in self._translations.values() for pair in language.items()]
        self._originals = {text: original for original, text in self._pairs}

    def teach(self, views: Sequence[View], *when: int) -> Lesson:
        """Judge views; ``when`` says which translations are drawn to them."""
        random = seeded("pairs", *when)
        in_english = [self._in_english(view) for view in views]
        batch = self._own.make(in_english)
        place = {tokens: index for index, tokens in enumerate(batch.candidates)}
        routes = {
            place[self._own.candidate_tokens(route)]: self._maker.candidate_tokens(replace(route, description=text))
            for view, read in zip(views, in_english, strict=True)
            for route, text in self._translated(read.candidates, random.choice(view.turns).language)
        }
        pairs = random.sample(self._pairs, min(PAIRS, len(self._pairs)))
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            vectors, states, mask = encode(self._router.encoder, self._lower, batch.conversations)
            originals = [self._own.example_tokens(original) for original, _ in pairs]
            pool, _, _ = encode(self._router.encoder, self._lower, (*batch.candidates, *originals))
            pool, original_vectors = pool.split((len(batch.candidates), len(originals)))
            logits, _ = judge(self._router, batch, Said(vectors, states, mask), pool)
        translated = torch.tensor([*routes], dtype=torch.long)
        return Lesson(
            batch=replace(batch, conversations=self._maker.make(views).conversations),
            pool=pool,
            posterior=logits.softmax(dim=1),
            said=vectors.float(),
            is_read=torch.tensor([float(turn.language == ENGLISH) for turn in batch.turns]),
            translations=VectorLesson(
                [*routes.values(), *(self._maker.example_tokens(each) for _, each in pairs)],
                torch.cat([pool[translated], original_vectors]).float(),
            ),
            translated=translated,
        )

    def _in_english(self, view: View) -> View:
        """Write a view as the trained network reads it: each text that is a translation as what it translates."""
        turns = []
        for turn in view.turns:
            messages = tuple(
                replace(each, content=self._originals.get(each.content, each.content)) for each in turn.messages
            )
            is_read = turn.messages[-1].content in self._originals
            turns.append(replace(turn, messages=messages, language=ENGLISH if is_read else turn.language))
        routes = tuple(
            replace(
                each,
                examples=tuple(self._originals.get(text, text) for text in each.examples),
                not_examples=tuple(self._originals.get(text, text) for text in each.not_examples),
            )
            for each in view.candidates
        )
        return replace(view, candidates=routes, turns=tuple(turns))

    def _translated(self, routes: Sequence[Candidate], language: str) -> Iterator[tuple[Candidate, str]]:
        """Go through the routes whose description is translated into a language, with the translation."""
        texts = self._translations.get(language, {})
        for route in routes:
            if route.description in texts:
                yield route, texts[route.description]
