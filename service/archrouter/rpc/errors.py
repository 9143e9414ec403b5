"""What the edge itself refuses: who calls, how many calls there are, what is switched off."""

from archrouter.domain.errors import ArchRouterError, OverloadedError, UnavailableError


class AuthenticationError(ArchRouterError):
    """The call carries no valid credentials; the text is for the log, since the caller is told nothing."""


class AuthorizationError(ArchRouterError):
    """The caller is known but lacks the scope the call needs."""

    def __init__(self, scope: str) -> None:
        """Keep the missing scope."""
        super().__init__(f"the credentials lack the scope {scope!r}")
        self.scope = scope


class AdmissionError(OverloadedError):
    """There is no room for the call now; nothing of it was done."""


class RequestTooLargeError(ArchRouterError):
    """The request has more bytes than the server takes."""

    def __init__(self, *, byte_count: int, max_byte_count: int) -> None:
        """Keep both sizes, in bytes."""
        super().__init__(
            f"the request has {byte_count} bytes, the server takes {max_byte_count} (server.max_receive_bytes); "
            "shorten the conversation"
        )
        self.byte_count = byte_count
        self.max_byte_count = max_byte_count


class ShuttingDownError(UnavailableError):
    """This process is draining and takes no new calls."""


class FeatureDisabledError(ArchRouterError):
    """The RPC exists but is switched off by configuration."""

    def __init__(self, setting: str) -> None:
        """Keep the configuration key that would enable it."""
        super().__init__(f"this call is disabled on this server; set {setting} to enable it")
        self.setting = setting


class InlinePolicyDisabledError(ArchRouterError):
    """The request carries an inline policy set and the server does not accept them."""

    def __init__(self) -> None:
        """Name the switch."""
        super().__init__(
            "inline policy sets are disabled on this server; name a loaded policy set, or set policies.inline_enabled"
        )
