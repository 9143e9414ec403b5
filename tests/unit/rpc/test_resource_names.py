"""Names of the API."""

import pytest

from archrouter.rpc.resource_names import policy_set_id, policy_set_name, proto_field_path


def test_name_and_id_lead_to_each_other() -> None:
    """An id has one name, and the name leads back to it."""
    assert "a-0" == policy_set_id(policy_set_name("a-0"))


@pytest.mark.parametrize("name", ["", "a", "policySets/", "policySets/a/b", "policySets/a\n", " policySets/a"])
def test_other_text_is_no_name(name: str) -> None:
    """Only the whole form of a name is one."""
    assert policy_set_id(name) is None


@pytest.mark.parametrize(
    ("domain_path", "expected"),
    [
        ("policy_set", "name"),
        ("fallback", "fallback_models"),
        ("fallback[1].model", "fallback_models[1].model"),
        ("routes[0].models[2].parameters", "routes[0].models[2].parameters"),
        ("min_confidence", "min_confidence"),
        ("", ""),
    ],
)
def test_field_path_uses_the_words_of_the_proto(domain_path: str, expected: str) -> None:
    """A finding about a message names the fields of the message."""
    assert expected == proto_field_path(domain_path)
