"""The configuration of augmentation: a TOML file, every key checked."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from data.errors import DataError

DEFAULT_FILE = Path(__file__).with_name("default.toml")

Probability = Annotated[float, Field(ge=0, le=1)]


class SettingsError(DataError):
    """The configuration is not what it should be; the text starts with the file."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Probabilities(_Strict):
    """How often each change is tried; the changes themselves are described in `data.augment.compose`."""

    topic_switch: Probability = 0.0
    abandoned_intent: Probability = 0.0
    follow_up: Probability = 0.0
    distractors: Probability = 0.0
    near_duplicates: Probability = 0.0
    removed_route: Probability = 0.0
    removed_domain: Probability = 0.0
    coarse_domains: Probability = 0.0
    narrowed_set: Probability = 0.0
    off_topic: Probability = 0.0
    truncated: Probability = 0.0
    reworded: Probability = 0.0
    renamed: Probability = 0.0
    typos: Probability = 0.0
    casing: Probability = 0.0
    shuffled: Probability = 0.0


class Amounts(_Strict):
    """How much a change changes."""

    max_turns: int = Field(25, ge=3, description="Messages of a joined conversation at most.")
    distractors: tuple[int, int] = Field((2, 60), description="Fewest and most routes of other policy sets.")
    near_duplicates: tuple[int, int] = Field((1, 3), description="Fewest and most narrowed copies of routes.")
    reworded_share: Probability = Field(0.7, description="Of the routes of a policy set.")
    typo_share: Probability = Field(0.08, description="Of the longer words.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, (fewest, most) in (("distractors", self.distractors), ("near_duplicates", self.near_duplicates)):
            if not 1 <= fewest <= most:
                msg = f"{name}: {fewest} to {most} is no range; write [fewest, most] with 1 <= fewest <= most"
                raise ValueError(msg)
        return self


class Overlap(_Strict):
    """Which policy sets may serve the same request, so that they must not be mixed."""

    groups: tuple[frozenset[str], ...] = Field((), description="Sets that overlap with each other.")
    with_all: frozenset[str] = Field(frozenset(), description="Sets that overlap with every other.")
    apart: frozenset[str] = Field(frozenset(), description="Sets that overlap with no other, or only in groups.")
    stand_ins: Mapping[str, tuple[frozenset[str], ...]] = Field(
        {}, description="By policy set, routes of which one may do when another is gone."
    )

    def is_known(self, policy_set: str) -> bool:
        """Say whether a policy set is named in a group, as apart or as overlapping with all."""
        named = (self.apart, self.with_all, *self.groups)
        return any(policy_set in sets for sets in named)

    def stand_ins_of(self, policy_set: str, route_id: str) -> frozenset[str]:
        """List the other routes that may do when a route is gone."""
        groups = [group for group in self.stand_ins.get(policy_set, ()) if route_id in group]
        return frozenset().union(*groups) - {route_id}

    def overlaps(self, one: str, other: str) -> bool:
        """Say whether a request for one set may fit a route of the other.

        A set overlaps with itself, and one that is named nowhere with every other: a label must not depend on
        somebody's having forgotten it.
        """
        return (
            one == other
            or not self.is_known(one)
            or not self.is_known(other)
            or one in self.with_all
            or other in self.with_all
            or any(one in group and other in group for group in self.groups)
        )


class Settings(_Strict):
    """All of it."""

    seed: int = Field(1, description="Everything drawn depends on it and on the records' ids.")
    copies: int = Field(2, ge=1, description="Changed versions of each record at most.")
    keep_originals: bool = Field(default=True, description="Whether the records themselves are written as well.")
    probability: Probabilities = Probabilities()
    amount: Amounts = Amounts()
    overlap: Overlap = Overlap()


def read_settings(path: Path, changes: Mapping[str, object] | None = None) -> Settings:
    """Read a configuration in TOML; keys that are not there have their defaults.

    ``changes`` are keys of the first level whose values come from elsewhere, e.g. the command line.

    Raises:
        SettingsError: For the first thing that is wrong.
    """
    try:
        return Settings.model_validate({**tomllib.loads(path.read_text(encoding="utf-8")), **(changes or {})})
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise SettingsError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path}: is no TOML in UTF-8: {error}"
        raise SettingsError(msg) from error
    except ValidationError as error:
        first = error.errors()[0]
        msg = f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise SettingsError(msg) from error
