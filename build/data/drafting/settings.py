"""The settings file: every key with its default, unit and range. Unknown keys are errors."""

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from data.drafting.errors import SetupError

_OWN_MEMBERS = frozenset(
    {"model", "messages", "temperature", "max_tokens", "max_completion_tokens", "n", "response_format", "stream"}
)


class Role(StrEnum):
    """Who does what; each role has its own model, so that no model checks its own work unless you say so."""

    POLICY_WRITER = "policy_writer"
    POLICY_REVIEWER = "policy_reviewer"
    INTENT_WRITER = "intent_writer"
    DIALOGUE_WRITER = "dialogue_writer"
    LABELLER = "labeller"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class EndpointSettings(_Section):
    """An OpenAI-compatible chat endpoint."""

    base_url: str = Field(description="Where /chat/completions is, e.g. http://127.0.0.1:8000/v1.")
    key_file: str = Field("", description="File that holds the API key and nothing else; relative to the settings.")
    key_env: str = Field("", description="Environment variable that holds the API key, where there is no file.")
    timeout_s: float = Field(120.0, gt=0, description="Seconds for one whole answer.")
    max_concurrent_requests: int = Field(8, ge=1, le=256, description="Requests in flight at a time.")
    requests_per_minute: int = Field(0, ge=0, description="Rate limit; 0 is none.")
    tokens_per_minute: int = Field(0, ge=0, description="Rate limit over an estimate of both directions; 0 is none.")
    structured_output: Literal["auto", "json_schema", "plain"] = Field(
        "auto", description="Ask for answers by JSON schema, by prompt alone, or by schema until it is refused."
    )
    output_limit_member: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="What the endpoint calls the limit of an answer's length."
    )


class RoleSettings(_Section):
    """The model of one role."""

    model: str = Field(min_length=1, description="The endpoint's name of the model.")
    temperature: float | None = Field(None, ge=0, le=2, description="Left to the endpoint when absent.")
    max_output_tokens: int = Field(2048, ge=16, description="Longest answer, in tokens.")
    input_price: float = Field(0.0, ge=0, description="Price of a million input tokens, in your currency.")
    output_price: float = Field(0.0, ge=0, description="Price of a million output tokens, in the same currency.")
    parameters: dict[str, JsonValue] = Field({}, description="Further members of the request, e.g. seed or top_p.")

    @model_validator(mode="after")
    def _leave_own_members_alone(self) -> Self:
        taken = sorted(_OWN_MEMBERS & self.parameters.keys())
        if taken:
            msg = f"parameters must not set {', '.join(taken)}; the pipeline does"
            raise ValueError(msg)
        return self


class RolesSettings(_Section):
    """A model per role; the policy roles are needed only without a policy file."""

    policy_writer: RoleSettings | None = None
    policy_reviewer: RoleSettings | None = None
    intent_writer: RoleSettings
    dialogue_writer: RoleSettings
    labeller: RoleSettings

    def find(self, role: Role) -> RoleSettings | None:
        """Return the settings of a role, or None when the settings file leaves it out."""
        return {
            Role.POLICY_WRITER: self.policy_writer,
            Role.POLICY_REVIEWER: self.policy_reviewer,
            Role.INTENT_WRITER: self.intent_writer,
            Role.DIALOGUE_WRITER: self.dialogue_writer,
            Role.LABELLER: self.labeller,
        }[role]

    def of(self, role: Role) -> RoleSettings:
        """Return the settings of a role that is needed.

        Raises:
            SetupError: When the settings file leaves it out.
        """
        settings = self.find(role)
        if settings is None:
            msg = f"the settings have no [roles.{role.value}]; add it, or start from a policy file with --policies"
            raise SetupError(msg)
        return settings


class AmountSettings(_Section):
    """How much to make."""

    seed: int = Field(1, description="Of every draw: topics, styles, lengths.")
    topics: int = Field(6, ge=1, description="Topics drawn from the pool; unused with a policy file.")
    domains_per_set: int = Field(3, ge=1, description="Topics that make one policy set.")
    actions_per_domain: int = Field(4, ge=2, le=12, description="Action policies of each topic.")
    domain_policies: bool = Field(default=True, description="Also ask for one policy that covers the whole topic.")
    intents_per_policy: int = Field(3, ge=1, le=40, description="Conversational intents of each policy.")
    uncovered_intents_per_set: int = Field(2, ge=0, le=40, description="Intents of each set that no policy covers.")
    dialogues_per_intent: int = Field(1, ge=1, le=20)
    min_user_turns: int = Field(1, ge=1)
    max_user_turns: int = Field(6, ge=1, le=12)

    @model_validator(mode="after")
    def _order_turns(self) -> Self:
        if self.min_user_turns > self.max_user_turns:
            msg = f"min_user_turns {self.min_user_turns} exceeds max_user_turns {self.max_user_turns}"
            raise ValueError(msg)
        return self


class AttemptSettings(_Section):
    """How often to try again."""

    request: int = Field(6, ge=1, description="Times one request is sent until it is answered.")
    answer: int = Field(3, ge=1, description="Times a question is asked until the answer is usable; each is paid.")
    dialogue: int = Field(3, ge=1, description="Dialogues written for one intent until the labels agree.")
    policy_rounds: int = Field(3, ge=1, description="Rounds of proposal and review for one topic.")
    initial_wait_s: float = Field(1.0, gt=0, description="Seconds before the second sending; doubles, with jitter.")
    max_wait_s: float = Field(60.0, gt=0, description="Longest of those waits, in seconds.")
    max_retry_after_s: float = Field(
        300.0, gt=0, description="Longest Retry-After that is waited for, in seconds; a longer one ends the run."
    )


class BudgetSettings(_Section):
    """What may be spent over all runs with the same output folder; retries count for one run."""

    calls: int = Field(1000, ge=0, description="Answers.")
    tokens: int | None = Field(None, ge=0, description="Input and output tokens together.")
    cost: float | None = Field(None, ge=0, description="In the currency of the prices.")
    retries: int = Field(200, ge=0, description="Requests sent again after a failure, in one run.")
    min_yield: float = Field(0.5, ge=0, le=1, description="Share of the planned dialogues below which the run fails.")


class OutputSettings(_Section):
    """What the data are called."""

    setting: str = Field("drafted", pattern=r"^[a-z0-9_]{1,40}$", description="Name of the setting and of its file.")
    license: str = Field("LicenseRef-internal", min_length=1, description="Licence of the records, an SPDX name.")


class Settings(_Section):
    """The settings file."""

    endpoint: EndpointSettings
    roles: RolesSettings
    amounts: AmountSettings = AmountSettings()
    attempts: AttemptSettings = AttemptSettings()
    budget: BudgetSettings = BudgetSettings()
    output: OutputSettings = OutputSettings()


def read_settings(path: Path) -> Settings:
    """Read a settings file in TOML.

    Raises:
        SetupError: When the file cannot be read or a key is wrong; the text names every wrong key.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{path}: cannot be read as TOML: {error}"
        raise SetupError(msg) from error
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_input=False))
        msg = f"{path}: " + "; ".join(problems)
        raise SetupError(msg) from error


def with_budget(settings: Settings, *, calls: int | None, cost: float | None) -> Settings:
    """Replace limits of the budget; None keeps the old one."""
    changes = {name: value for name, value in (("calls", calls), ("cost", cost)) if value is not None}
    return settings.model_copy(update={"budget": settings.budget.model_copy(update=changes)})
