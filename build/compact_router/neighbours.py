"""Which domains overlap, and which actions may do for each other, by how near their descriptions are."""

from collections.abc import Callable, Sequence

import numpy as np
from data.augment.settings import Overlap
from numpy.typing import NDArray

from compact_router.taxonomy import OWN, Action, Taxonomy, Unit, units_of

OVERLAP = 0.46
"""Cosine of two descriptions from which domains of different taxonomies may serve the same request."""

STAND_IN = 0.62
"""Cosine of two descriptions from which an action of the same taxonomy may do when the other is gone."""

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


class Neighbours:
    """Looks up overlap; both directions are the same."""

    def __init__(self, taxonomies: Sequence[Taxonomy], overlap: Overlap, embed: Embed) -> None:
        """Compare all descriptions.

        Args:
            taxonomies: All of the material.
            overlap: What is known of the own corpus' policy sets. One that it does not name cuts requests of every
                kind, and overlaps with all.
            embed: Texts to unit vectors, float32 [N, D]; a sentence encoder that was not trained on the material.
        """
        self._overlap = overlap
        self._broad = {taxonomy.name for taxonomy in taxonomies if taxonomy.is_broad}
        self._own = {taxonomy.name for taxonomy in taxonomies if taxonomy.source == OWN}
        self._stand_ins = {taxonomy.name: taxonomy.stand_ins for taxonomy in taxonomies}
        self._units = {unit: index for index, (unit, _) in enumerate(units_of(taxonomies))}
        actions = [(unit, action) for unit, domain in units_of(taxonomies) for action in domain.actions]
        vectors = embed([_text(action) for _, action in actions])
        cosines = vectors @ vectors.T
        self._actions = {(unit.taxonomy, *action.key): index for index, (unit, action) in enumerate(actions)}
        self._cosines = cosines
        owner = np.array([self._units[unit] for unit, _ in actions])
        count = len(self._units)
        nearest = np.full((count, count), -1.0, dtype=np.float32)
        np.maximum.at(nearest, (owner[:, None], owner[None, :]), cosines)
        self._nearest = nearest

    def overlap(self, one: Unit, other: Unit) -> bool:
        """Say whether a request for one domain may fit a route of the other, of whatever taxonomy."""
        own = [unit.taxonomy for unit in (one, other) if unit.taxonomy in self._own]
        if self.cuts_everything(one.taxonomy) or self.cuts_everything(other.taxonomy):
            return True
        if any(name in self._overlap.with_all for name in own):
            return True
        if len(own) > 1 and self._overlap.overlaps(*own):
            return True
        return self.is_near(one, other)

    def is_near(self, one: Unit, other: Unit) -> bool:
        """Say whether descriptions of two domains are so near that requests for one may fit the other."""
        return bool(self._nearest[self._units[one], self._units[other]] >= OVERLAP)

    def cuts_everything(self, taxonomy: str) -> bool:
        """Say whether a taxonomy has a route for almost any request, so that it is mixed with no other."""
        return taxonomy in self._broad or (taxonomy in self._own and not self._overlap.is_known(taxonomy))

    def may_do(self, taxonomy: str, gone: tuple[str, str], there: tuple[str, str]) -> bool:
        """Say whether one action of a taxonomy may do when another is gone; each is given as domain and name."""
        if any(gone in group and there in group for group in self._stand_ins[taxonomy]):
            return True
        first, second = self._actions[taxonomy, *gone], self._actions[taxonomy, *there]
        return bool(self._cosines[first, second] >= STAND_IN)


def _text(action: Action) -> str:
    return f"{action.name.replace('_', ' ')}: {action.descriptions[0]}"
