"""Decision ids."""

import re

from archrouter.rpc.decision_ids import new_decision_id

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def test_decision_ids_are_distinct_uuids_of_version_7() -> None:
    """Two decisions never share an id, and an id has the form of RFC 9562."""
    ids = {new_decision_id() for _ in range(1000)}

    assert 1000 == len(ids)
    assert all(UUID7.fullmatch(one) for one in ids)


def test_decision_ids_are_ordered_by_time() -> None:
    """Sorting ids sorts decisions."""
    ids = [new_decision_id() for _ in range(1000)]

    assert sorted(ids) == ids
