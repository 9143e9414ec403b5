"""Everything the service refuses to do, as one exception tree.

::

    ArchRouterError
    ├── InvalidRequestError            the caller's message is malformed
    ├── PromptTooLongError             the prompt exceeds the token budget
    ├── PromptTemplateError            prompt template, answer skeleton and tokenizer do not fit together
    ├── PolicySetInvalidError          a policy set breaks a rule
    ├── InlinePolicyDisabledError      inline policy sets are switched off
    ├── PolicySetNotFoundError         no policy set has that name
    ├── NoDefaultPolicySetError        the request names no set and there is no default
    ├── FeatureDisabledError           an RPC is switched off by configuration
    ├── OverloadedError                admission refused the call
    ├── UnavailableError
    │   ├── BackendUnavailableError    the inference server does not answer
    │   ├── ModelNotReadyError         the inference server answers, the model does not
    │   └── ShuttingDownError          this process is draining
    ├── BudgetExceededError            the caller's deadline leaves no time for an answer
    ├── BackendProtocolError           the model's answer breaks the tensor contract
    ├── AuthenticationError            no valid credentials
    └── AuthorizationError             valid credentials without the needed scope

`archrouter.rpc.status` maps each of them to a gRPC status; nothing else does.
"""

from dataclasses import dataclass

from archrouter.domain.findings import Finding


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One malformed field of a request.

    Attributes:
        field_path: Proto field path, e.g. ``messages[3].role``.
        description: What is wrong, with which value, and the remedy.
    """

    field_path: str
    description: str


class ArchRouterError(Exception):
    """Root of all errors this package raises on purpose."""


class InvalidRequestError(ArchRouterError):
    """The request is malformed; retrying it unchanged cannot help."""

    def __init__(self, violations: tuple[FieldViolation, ...]) -> None:
        """Keep the violations, at least one."""
        super().__init__("; ".join(f"{v.field_path}: {v.description}" for v in violations))
        self.violations = violations


class PromptTooLongError(ArchRouterError):
    """The prompt exceeds the model's token budget and may not be truncated."""

    def __init__(
        self, *, prompt_token_count: int, max_prompt_token_count: int, read_token_count: int | None = None
    ) -> None:
        """Keep the counts, in tokens.

        Args:
            prompt_token_count: All of the prompt.
            max_prompt_token_count: What the model reads at most.
            read_token_count: What it would read of this prompt; None for as much as it can. A model that reads a
                share of each message may refuse a prompt that is not longer than the most it reads.
        """
        reads = f"reads at most {max_prompt_token_count}"
        if read_token_count is not None:
            reads = f"would read {read_token_count} of them"
        super().__init__(
            f"the prompt has {prompt_token_count} tokens, the model {reads}; "
            "shorten the conversation or the policy descriptions, or allow truncation"
        )
        self.prompt_token_count = prompt_token_count
        self.max_prompt_token_count = max_prompt_token_count


class PromptTemplateError(ArchRouterError, ValueError):
    """The bundle's prompt template, answer skeleton and tokenizer do not fit together.

    Raised when they are loaded, never by a request.
    """


class PolicySetInvalidError(ArchRouterError):
    """A policy set breaks at least one rule."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        """Keep the findings, at least one of them an error."""
        super().__init__("; ".join(f"{f.field_path}: {f.message}" for f in findings))
        self.findings = findings


class InlinePolicyDisabledError(ArchRouterError):
    """The request carries an inline policy set and the server does not accept them."""

    def __init__(self) -> None:
        """Name the switch."""
        super().__init__(
            "inline policy sets are disabled on this server; name a loaded policy set, or set policies.inline_enabled"
        )


class PolicySetNotFoundError(ArchRouterError):
    """No loaded policy set has the requested name."""

    def __init__(self, policy_set_id: str) -> None:
        """Keep the id that was asked for."""
        super().__init__(f"no policy set named {policy_set_id!r} is loaded; list them with ListPolicySets")
        self.policy_set_id = policy_set_id


class NoDefaultPolicySetError(ArchRouterError):
    """The request names no policy set and the server has no default."""

    def __init__(self) -> None:
        """Name the remedy."""
        super().__init__("the request names no policy set and the server has no default; set policies.default")


class FeatureDisabledError(ArchRouterError):
    """The RPC exists but is switched off by configuration."""

    def __init__(self, setting: str) -> None:
        """Keep the configuration key that would enable it."""
        super().__init__(f"this call is disabled on this server; set {setting} to enable it")
        self.setting = setting


class OverloadedError(ArchRouterError):
    """Admission refused the call; nothing was queued."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        """Keep the advised wait in seconds, > 0."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnavailableError(ArchRouterError):
    """The decision cannot be made now; the same call may succeed later."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        """Keep the advised wait in seconds, > 0."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BackendUnavailableError(UnavailableError):
    """The inference server does not answer."""


class ModelNotReadyError(UnavailableError):
    """The inference server answers but the model is not ready."""


class ShuttingDownError(UnavailableError):
    """This process is draining and takes no new calls."""


class BudgetExceededError(ArchRouterError):
    """The caller's deadline leaves too little time for a decision."""

    def __init__(self, *, remaining_s: float) -> None:
        """Keep the time that was left, in seconds."""
        super().__init__(f"{remaining_s:.3f} s of the deadline are left, too little for a decision; raise the deadline")
        self.remaining_s = remaining_s


class BackendProtocolError(ArchRouterError):
    """The model's answer breaks the tensor contract (shape, dtype or a value that is not finite)."""


class AuthenticationError(ArchRouterError):
    """The call carries no valid credentials."""


class AuthorizationError(ArchRouterError):
    """The caller is known but lacks the scope the call needs."""

    def __init__(self, scope: str) -> None:
        """Keep the missing scope."""
        super().__init__(f"the credentials lack the scope {scope!r}")
        self.scope = scope
