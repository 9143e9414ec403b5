"""One step of training, and the checkpoint between them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from compact_router.batches import Batch, LowerStates, score
from compact_router.network import MASKED, READER_LAYERS, TRAINED_LAYERS, Encoder, Router
from compact_router.parallel import Workers
from compact_router.plan import Plan
from compact_router.pretrained import ENCODERS, MINILM, centre_of, load_transformer
from compact_router.rivals import Rivals

CheckpointDocument = dict[str, Any]  # Any: weights, and whatever an optimiser keeps
"""What ``torch.load`` gives of a checkpoint."""


class Lesson(Protocol):
    """What is learned from a trained network, and not from labels alone."""

    @property
    def labels(self) -> Tensor:
        """int64 [B], the right answers."""

    def loss(self, router: Router, lower: LowerStates) -> tuple[Tensor, Tensor]:
        """Answer with a network; gives what it is off by, and its logits, [B, answers]."""


LOWER_STATE_CAPACITY = 60_000
"""Sequences whose lower states are kept, about 2 GB at 40 tokens each."""

COSINE_SCALE = 20.0

START_AS_ZERO = ("encoder.types.", "encoder.weight_of")
START_AS_NOTHING = ("examples.", *START_AS_ZERO)
"""Parts of the network that an older checkpoint may lack: before training, and where no route has examples, it is the
same without them."""


class Learner:
    """The network and its optimiser."""

    def __init__(self, plan: Plan, workers: Workers, *, with_rivals: bool, is_taught: bool = False) -> None:
        """Start from the sentence encoder.

        Args:
            plan: How to train.
            workers: The processes, and which of them this is.
            with_rivals: Whether other heads are trained beside the reader for comparison.
            is_taught: Whether the reader is a teacher's, and stays as it is.
        """
        torch.manual_seed(plan.seed)
        self._plan, self._workers = plan, workers
        self.router = make_router(plan.encoder, plan.trained_layers)
        self.router.encoder.centre.copy_(torch.from_numpy(centre_of(plan.encoder)))
        self.router.reader.requires_grad_(requires_grad=not is_taught)
        self.rivals = Rivals() if with_rivals else None
        self.lower = LowerStates(self.router.encoder, LOWER_STATE_CAPACITY)
        encoder = [each for each in self.router.encoder.transformer.parameters() if each.requires_grad]
        parts = (self.router, self.rivals) if self.rivals is not None else (self.router,)
        heads = [
            each
            for part in parts
            for name, each in part.named_parameters()
            if each.requires_grad and not name.startswith("encoder.transformer.")
        ]
        self._trained = [*encoder, *heads]
        self._optimiser = torch.optim.AdamW(
            [{"params": encoder, "lr": plan.encoder_rate}, {"params": heads, "lr": plan.reader_rate}],
            weight_decay=plan.weight_decay,
            betas=(0.9, 0.98),
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, plan.rate_share)
        self.step_count = 0

    def start_from(self, path: Path) -> None:
        """Take the weights of an earlier training, whatever its plan was."""
        saved = torch.load(path, weights_only=True)
        if saved.get("encoder", MINILM) != self._plan.encoder:
            msg = f"{path}: is of the encoder {saved.get('encoder', MINILM)}, not {self._plan.encoder}; give --encoder"
            raise ValueError(msg)
        load_weights(self.router, saved["router"])

    def step(self, task: Batch | Lesson) -> tuple[float, float]:
        """Learn from this process's part of a step.

        Returns:
            Loss and share of right answers on it, both before the step.
        """
        torch.manual_seed(self._plan.seed + self.step_count * self._workers.count + self._workers.rank)  # for dropout
        self.router.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, logits = self._loss(task) if isinstance(task, Batch) else task.loss(self.router, self.lower)
        self._optimiser.zero_grad(set_to_none=False)
        loss.backward()
        self._workers.average([each.grad for each in self._trained if each.grad is not None])
        nn.utils.clip_grad_norm_(self._trained, self._plan.gradient_norm)
        self._optimiser.step()
        self._schedule.step()
        self.step_count += 1
        logits = logits.detach()
        right = (logits.argmax(dim=1) == task.labels).float().mean()
        return functional.cross_entropy(logits, task.labels).item(), right.item()

    def _loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        scored = score(self.router, self.lower, batch, self.rivals)
        loss = self._plan.cosine_weight * _cosine_loss(scored.cosines, batch)
        loss = loss + functional.cross_entropy(scored.logits, batch.labels)
        for logits in scored.rivals.values():
            loss = loss + self._plan.rival_weight * functional.cross_entropy(logits, batch.labels)
        return loss, scored.logits

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        document = {
            "encoder": self._plan.encoder,
            "plan": asdict(self._plan),
            "step_count": self.step_count,
            "router": weights_of(self.router),
            "rivals": self.rivals.state_dict() if self.rivals is not None else None,
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
        }
        unfinished = path.with_suffix(".new")
        torch.save(document, unfinished)
        unfinished.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            ValueError: When it was made under another plan.
        """
        saved = torch.load(path, weights_only=True)
        if saved["plan"] != asdict(self._plan):
            msg = f"{path}: was made under another plan, {saved['plan']}; give the same options, or another folder"
            raise ValueError(msg)
        load_weights(self.router, saved["router"])
        if self.rivals is not None:
            self.rivals.load_state_dict(saved["rivals"])
        self._optimiser.load_state_dict(saved["optimiser"])
        self._schedule.load_state_dict(saved["schedule"])
        self.step_count = saved["step_count"]


def learner_of(checkpoint: Path) -> tuple[Learner, str]:
    """Take up a checkpoint to measure it, and say which encoder it started from."""
    saved = torch.load(checkpoint, weights_only=True)
    encoder = saved.get("encoder", MINILM)
    learner = Learner(Plan(encoder=encoder), Workers(0, 1), with_rivals=False)
    load_weights(learner.router, saved["router"])
    return learner, encoder


def load_router(path: Path) -> tuple[Router, str]:
    """Load the network of a checkpoint, in evaluation mode, and say which encoder it started from."""
    saved = torch.load(path, weights_only=True)
    encoder = saved.get("encoder", MINILM)
    router = make_router(encoder)
    load_weights(router, saved["router"])
    router.eval()
    return router, encoder


def make_router(encoder: str, trained_layers: int = TRAINED_LAYERS) -> Router:
    """Put a new reader on an encoder as it was downloaded."""
    transformer = load_transformer(encoder)
    return Router(Encoder(transformer, trained_layers, is_mapped=ENCODERS[encoder].is_mapped), READER_LAYERS)


def weights_of(router: Router) -> dict[str, Tensor]:
    """Give the weights that training changes; the others are the encoder's own, and some hundred MB of them."""
    frozen = {name for name, each in router.encoder.named_parameters(prefix="encoder") if not each.requires_grad}
    return {name: each for name, each in router.state_dict().items() if name not in frozen}


def load_weights(router: Router, weights: dict[str, Tensor]) -> None:
    """Take over weights that training changed.

    Raises:
        ValueError: When they are of another network.
    """
    missing, unknown = router.load_state_dict(weights, strict=False)
    trained = {name for name, each in router.named_parameters() if each.requires_grad}
    needed = {name for name in trained & set(missing) if not any(part in name for part in START_AS_NOTHING)}
    if wrong := sorted({*needed, *unknown}):
        msg = f"the checkpoint does not fit the network: {', '.join(wrong[:3])} and {len(wrong)} weights altogether"
        raise ValueError(msg)


def _cosine_loss(cosines: Tensor, batch: Batch) -> Tensor:
    """Give the loss of choosing a candidate by cosine alone, over the turns that have one."""
    known = batch.labels < cosines.shape[1]
    if not known.any():
        return cosines.new_zeros(())
    logits = (COSINE_SCALE * cosines).masked_fill(~batch.candidate_mask, MASKED)
    return functional.cross_entropy(logits[known], batch.labels[known])
