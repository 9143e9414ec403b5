"""Everything the service refuses to do, as one exception tree.

::

    ArchRouterError
    ├── InvalidRequestError            the caller's message is malformed
    ├── PromptTooLongError             the prompt exceeds the token budget
    ├── PromptTemplateError            prompt template, answer skeleton and tokenizer do not fit together
    ├── PolicySetInvalidError          a policy set breaks a rule
    ├── PolicySetNotFoundError         no policy set has that name
    ├── PolicySetRevisionNotFoundError the set is loaded, but not in the revision asked for
    ├── NoDefaultPolicySetError        the request names no set and there is no default
    ├── OverloadedError                the inference server's queue is full
    ├── UnavailableError
    │   ├── BackendUnavailableError    the inference server does not answer
    │   └── ModelNotReadyError         the inference server answers, the model does not
    ├── BudgetExceededError            the caller's deadline leaves no time for an answer
    └── BackendProtocolError           the model's answer breaks the tensor contract

`archrouter.rpc` adds what it refuses itself (`archrouter.rpc.errors`) and maps each error to a gRPC status.
"""

from archrouter.domain.findings import Finding


class ArchRouterError(Exception):
    """Root of all errors this package raises on purpose."""


class InvalidRequestError(ArchRouterError):
    """The request is malformed; retrying it unchanged cannot help."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        """Keep what is wrong with which field, at least one finding."""
        super().__init__("; ".join(f"{f.field_path}: {f.message}" for f in findings))
        self.findings = findings


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


class PolicySetNotFoundError(ArchRouterError):
    """No loaded policy set has the requested name."""

    def __init__(self, policy_set_id: str) -> None:
        """Keep the id that was asked for."""
        super().__init__(f"no policy set named {policy_set_id!r} is loaded; list them with ListPolicySets")
        self.policy_set_id = policy_set_id


class PolicySetRevisionNotFoundError(ArchRouterError):
    """The policy set is loaded, but not in the revision that the request asks for."""

    def __init__(self, policy_set_id: str, active_revision: str) -> None:
        """Keep the set's id and the revision that is served."""
        super().__init__(
            f"policy set {policy_set_id!r} is not kept in that revision; ask for {active_revision}, the active one"
        )
        self.policy_set_id = policy_set_id
        self.active_revision = active_revision


class NoDefaultPolicySetError(ArchRouterError):
    """The request names no policy set and the server has no default."""

    def __init__(self) -> None:
        """Name the remedy."""
        super().__init__("the request names no policy set and the server has no default; set policies.default")


class OverloadedError(ArchRouterError):
    """The inference server has as many calls as it takes."""

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


class BudgetExceededError(ArchRouterError):
    """The caller's deadline leaves too little time for a decision."""

    def __init__(self, *, remaining_s: float) -> None:
        """Keep the time that was left, in seconds."""
        super().__init__(f"{remaining_s:.3f} s of the deadline are left, too little for a decision; raise the deadline")
        self.remaining_s = remaining_s


class BackendProtocolError(ArchRouterError):
    """The model's answer breaks the tensor contract (shape, dtype or a value that is not finite)."""
