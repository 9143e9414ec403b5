"""How the API names policy sets and their fields."""

import re

INLINE_POLICY_SET_ID = "inline"
"""Id of an inline policy set that came without a name."""

_COLLECTION = "policySets/"
_NAME = re.compile(r"policySets/([a-z0-9-]{1,64})")

_PROTO_FIELD_OF_DOMAIN_FIELD = {"policy_set": "name", "fallback": "fallback_models"}
"""Fields that the policy file, whose words the domain's findings use, calls otherwise than the proto."""


def policy_set_name(policy_set_id: str) -> str:
    """Name a policy set as the API does.

    Args:
        policy_set_id: Its id in the domain.

    Returns:
        ``policySets/{id}``.
    """
    return _COLLECTION + policy_set_id


def policy_set_id(name: str) -> str | None:
    """Read the id out of a resource name.

    Args:
        name: What the caller sent.

    Returns:
        The id, or None when the name does not have the form ``policySets/{id}``.
    """
    match = _NAME.fullmatch(name)
    return match[1] if match else None


def proto_field_path(field_path: str) -> str:
    """Translate the field path of a domain finding into that of the proto `PolicySet`.

    Args:
        field_path: E.g. ``fallback[0].model``; empty for the whole set.

    Returns:
        E.g. ``fallback_models[0].model``.
    """
    first, bracket, rest = field_path.partition("[")
    return _PROTO_FIELD_OF_DOMAIN_FIELD.get(first, first) + bracket + rest
