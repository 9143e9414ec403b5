"""Ids of decisions."""

import uuid_utils


def new_decision_id() -> str:
    """Make the id of one decision.

    Returns:
        A UUIDv7 (RFC 9562, section 5.7) in its 36-character form: unique, and ordered by time.
    """
    return str(uuid_utils.uuid7())
