"""Checks of the proto's fields that need nothing but the message. Every violation is reported at once."""

from collections.abc import Iterator

from google.protobuf.descriptor import EnumDescriptor

from archrouter.application.router import RequestLimits
from archrouter.domain.errors import FieldViolation, InvalidRequestError
from archrouter.domain.findings import quoted
from archrouter.rpc.resource_names import policy_set_id
from archrouter.v1 import (
    BatchSelectRoutesRequest,
    DecisionView,
    GetPolicySetRequest,
    ListPolicySetsRequest,
    OverflowBehavior,
    Role,
    RoutingOptions,
    SelectRouteRequest,
    TurnKind,
    ValidatePolicySetRequest,
)

MAX_CORRELATION_ID_CHARACTERS = 64
"""Part of the API: fits a UUID, a trace id or a ULID, and bounds a log line."""


def check_select_route(request: SelectRouteRequest, limits: RequestLimits) -> None:
    """Check the fields of one routing request.

    Args:
        request: As it came over the wire.
        limits: Bounds of the repeated fields. They are checked before anything walks over those fields, so that a
            message of a million empty items costs nothing.

    Raises:
        InvalidRequestError: With every violation.
    """
    _refuse(
        *_message_violations(request, limits),
        *_policy_source_violations(request, limits),
        *_option_violations(request.options),
        *_enum_violations("view", request.view, DecisionView.DESCRIPTOR),
        *_correlation_id_violations(request.correlation_id),
    )


def check_batch(request: BatchSelectRoutesRequest, limits: RequestLimits) -> None:
    """Check the envelope of a batch; its items are checked one by one.

    Args:
        request: As it came over the wire.
        limits: Bound of the number of items.

    Raises:
        InvalidRequestError: When the batch is empty or too large.
    """
    count = len(request.requests)
    if not 1 <= count <= limits.max_batch_size:
        text = f"{count} requests; send 1 to {limits.max_batch_size} (limits.max_batch_size)"
        _refuse(FieldViolation("requests", text))


def check_get_policy_set(request: GetPolicySetRequest) -> None:
    """Check the name of a policy set.

    Args:
        request: As it came over the wire.

    Raises:
        InvalidRequestError: When the name is malformed.
    """
    _refuse(*_name_violations("name", request.name))


def check_list_policy_sets(request: ListPolicySetsRequest) -> None:
    """Check the page size; the page token is checked where it is read.

    Args:
        request: As it came over the wire.

    Raises:
        InvalidRequestError: When the page size is negative.
    """
    if request.page_size < 0:
        _refuse(FieldViolation("page_size", f"{request.page_size} is negative; send 0 for the default"))


def check_validate_policy_set(request: ValidatePolicySetRequest) -> None:
    """Check that there is a policy set to validate.

    Args:
        request: As it came over the wire.

    Raises:
        InvalidRequestError: When the request holds none.
    """
    if request.WhichOneof("source") is None:
        _refuse(FieldViolation("source", "is unset; send inline_policy_set or yaml"))


def _refuse(*violations: FieldViolation) -> None:
    if violations:
        raise InvalidRequestError(violations)


def _message_violations(request: SelectRouteRequest, limits: RequestLimits) -> Iterator[FieldViolation]:
    count = len(request.messages)
    if not 1 <= count <= limits.max_messages:
        yield FieldViolation("messages", f"{count} messages; send 1 to {limits.max_messages} (limits.max_messages)")
        return
    for index, message in enumerate(request.messages):
        path = f"messages[{index}].role"
        if message.role == Role.ROLE_UNSPECIFIED:
            yield FieldViolation(path, "is unset; say who wrote the message")
        yield from _enum_violations(path, message.role, Role.DESCRIPTOR)


def _policy_source_violations(request: SelectRouteRequest, limits: RequestLimits) -> Iterator[FieldViolation]:
    if request.WhichOneof("policy_source") == "policy_set":
        yield from _name_violations("policy_set", request.policy_set)
    route_count = len(request.inline_policy_set.routes)
    if route_count > limits.max_inline_routes:
        text = (
            f"{route_count} routes exceed {limits.max_inline_routes} (limits.max_inline_routes); "
            "load the policy set on the server instead"
        )
        yield FieldViolation("inline_policy_set.routes", text)


def _option_violations(options: RoutingOptions) -> Iterator[FieldViolation]:
    if options.HasField("min_confidence"):
        yield from _ratio_violations("options.min_confidence", options.min_confidence)
    yield from _enum_violations("options.overflow_behavior", options.overflow_behavior, OverflowBehavior.DESCRIPTOR)
    if options.max_candidates < 0:
        yield FieldViolation("options.max_candidates", f"{options.max_candidates} is negative; send 0 for all")
    yield from _enum_violations("options.turn_kind", options.turn_kind, TurnKind.DESCRIPTOR)
    if options.HasField("switch_margin"):
        yield from _ratio_violations("options.switch_margin", options.switch_margin)


def _ratio_violations(path: str, value: float) -> Iterator[FieldViolation]:
    if not 0.0 <= value <= 1.0:  # also refuses NaN
        yield FieldViolation(path, f"{value} is outside [0, 1]; confidence is a probability")


def _enum_violations(path: str, value: int, enum: EnumDescriptor) -> Iterator[FieldViolation]:
    if value not in enum.values_by_number:
        yield FieldViolation(path, f"{value} is no {enum.name} this server knows; see the API's enum")


def _name_violations(path: str, name: str) -> Iterator[FieldViolation]:
    if policy_set_id(name) is None:
        text = f"{quoted(name)} does not name a policy set; send policySets/{{id}}, the id of a-z, 0-9 and '-'"
        yield FieldViolation(path, text)


def _correlation_id_violations(correlation_id: str) -> Iterator[FieldViolation]:
    if len(correlation_id) > MAX_CORRELATION_ID_CHARACTERS:
        text = f"{len(correlation_id)} characters exceed {MAX_CORRELATION_ID_CHARACTERS}; shorten it"
        yield FieldViolation("correlation_id", text)
