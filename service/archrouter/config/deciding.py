"""Settings of decisions: policies, limits of requests, routing."""

from typing import Literal

from pydantic import Field

from archrouter.config.values import Section


class PoliciesSettings(Section):
    """Where policy sets come from."""

    directory: str = Field("policies", description="Folder of policy files (*.yaml); suites (*_test.yaml) are skipped.")
    default: str = Field(
        "", description="Policy set for requests that name none; empty takes the only one if there is just one."
    )
    inline_enabled: bool = Field(default=False, description="Accept policy sets that travel with a request.")
    reload_enabled: bool = Field(
        default=True,
        description="Serve ReloadPolicySets to callers with the scope admin; "
        "without authentication those are the ones on this machine.",
    )
    watch_enabled: bool = Field(default=True, description="Read the policy files again when they change.")
    watch_interval_s: float = Field(
        2.0,
        gt=0,
        description="Seconds between two looks at the policy files, for folders whose file system tells of no change.",
    )
    kept_revisions: int = Field(
        3, ge=0, le=32, description="Earlier revisions of each policy set that a request may still ask for."
    )
    state_directory: str = Field(
        "",
        description="Folder for a copy of each policy file that served, taken at the next start in place of one that "
        "is broken by then; empty keeps none, and a broken file then refuses the start.",
    )


class LimitsSettings(Section):
    """How large a request may be."""

    max_messages: int = Field(256, ge=1, description="Messages of one conversation.")
    max_message_characters: int = Field(100_000, ge=1, description="Characters of one message.")
    max_batch_size: int = Field(
        64, ge=1, description="Items of one BatchSelectRoutes call; those that find no room wait within it."
    )
    max_inline_routes: int = Field(256, ge=1, description="Routes of an inline policy set.")
    max_explained_messages: int = Field(
        8, ge=0, description="Messages that DECISION_VIEW_EXPLAIN leaves out one by one, each by a call to the model."
    )


class RoutingSettings(Section):
    """How decisions are made."""

    mode: Literal["compact", "engine", "cascade"] = Field(
        "compact",
        description="Which tier decides: compact, engine (the language model), or cascade: compact where it is sure, "
        "else the engine.",
    )
    cascade_min_confidence: float = Field(
        0.9,
        ge=0,
        le=1,
        description="In a cascade the compact tier decides where its calibrated probability of the leading candidate "
        "is at least this.",
    )
    on_engine_failure: Literal["none", "compact"] = Field(
        "none",
        description="What happens where the engine gives no answer: none fails the call, compact lets that tier decide "
        "and flags the decision. Unused with routing.mode compact.",
    )
    compact_reserve_s: float = Field(
        0.1,
        ge=0,
        description="Seconds of a call's time that the engine leaves to the compact tier with "
        "routing.on_engine_failure compact; a call with less than twice that leaves none.",
    )
    default_min_confidence: float = Field(
        0.0, ge=0, le=1, description="Threshold where neither request, route nor policy set has one."
    )
    default_deadline_s: float = Field(
        5.0,
        gt=0,
        description="Seconds for a call whose caller set no deadline, the arrival of its request included.",
    )
    max_budget_s: float = Field(
        10.0, gt=0, description="Most seconds that are used of a call's deadline, routing.default_deadline_s included."
    )
    min_budget_s: float = Field(
        0.005, ge=0, description="Calls with less time left, in seconds, are refused before any work."
    )
    ticket_key_file: str = Field(
        "",
        description="File of keys that sign route tickets, one of at least 32 bytes a line: the first signs, each is "
        "accepted; read again when it changes. Empty makes a key that ends with this process and no other knows.",
    )
    ticket_lifetime_s: float = Field(
        86_400.0, gt=0, description="Seconds for which a conversation can be continued by its route ticket."
    )


class ShadowSettings(Section):
    """Decisions made again beside the calls, by other policies or another tier; see [observability](observability.md).

    Off unless policies_directory or tier is set.
    """

    policies_directory: str = Field(
        "",
        description="Folder of policy files; each set decides again what the served one of the same id decided. "
        "Empty takes policies.directory.",
    )
    tier: Literal["", "compact", "engine"] = Field(
        "", description="Which tier decides again; empty takes routing.mode as it is."
    )
    share: float = Field(1.0, gt=0, le=1, description="Share of decisions that are made again, picked by chance.")
    timeout_s: float = Field(
        2.0,
        gt=0,
        description="Seconds after a decision within which it is made again, the wait for a quiet moment included.",
    )
