"""`PolicyState`: copies of the policy files that served, for the next process."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from archrouter.application.ports import SourcedPolicySet
from archrouter.policy_files.directory import PolicyDirectory
from archrouter.policy_files.state import PolicyState

_TEXT = (
    "policy_set: {}\n"
    "fallback: [small]\n"
    "models: {{small: {{model: vendor/small}}}}\n"
    "routes: [{{id: code, description: Writing code, models: [small]}}]\n"
)


def _load(policies: Path, **policy_sets: str) -> tuple[SourcedPolicySet, ...]:
    policies.mkdir(exist_ok=True)
    for name, policy_set_id in policy_sets.items():
        (policies / f"{name}.yaml").write_text(_TEXT.format(policy_set_id), encoding="utf-8")
    return PolicyDirectory(policies).load().accepted


def test_another_process_recalls_what_was_kept(tmp_path: Path) -> None:
    """Sources, sets and texts come back as they were; the folder is made where it is missing."""
    accepted = _load(tmp_path / "policies", a="one", b="two")
    state = tmp_path / "var" / "state"

    PolicyState(state, tmp_path / "policies").keep(accepted, {"a.yaml", "b.yaml"})

    assert accepted == PolicyState(state, tmp_path / "policies").recall()
    assert ["a.yaml", "b.yaml"] == sorted(path.name for path in state.iterdir())


def test_what_is_no_source_any_more_is_forgotten_and_a_broken_one_is_not(tmp_path: Path) -> None:
    """A broken file still is a source, so its copy stays although nothing of it was accepted."""
    accepted = _load(tmp_path / "policies", broken="one", removed="two", good="three")
    state = PolicyState(tmp_path / "state", tmp_path / "policies")
    state.keep(accepted, {"broken.yaml", "removed.yaml", "good.yaml"})

    state.keep(accepted[1:2], {"broken.yaml", "good.yaml"})

    assert ["broken.yaml", "good.yaml"] == [sourced.source for sourced in state.recall()]


def test_a_copy_that_is_no_policy_set_is_left_out(tmp_path: Path) -> None:
    """Whatever a lost disk made of a copy, the others come back."""
    accepted = _load(tmp_path / "policies", a="one", b="two")
    state = PolicyState(tmp_path / "state", tmp_path / "policies")
    state.keep(accepted, {"a.yaml", "b.yaml"})
    (tmp_path / "state" / "a.yaml").write_bytes(b"")

    assert ["b.yaml"] == [sourced.source for sourced in state.recall()]


def test_a_copy_that_cannot_be_written_is_logged(tmp_path: Path) -> None:
    """No decision depends on the copy, so it costs a log line and leaves no half of a file."""
    accepted = _load(tmp_path / "policies", a="one")
    state = PolicyState(tmp_path / "state", tmp_path / "policies")
    (tmp_path / "state" / "a.yaml").mkdir()

    with capture_logs() as logs:
        state.keep(accepted, {"a.yaml"})

    assert ["policy_state_not_written"] == [log["event"] for log in logs]
    assert ["a.yaml"] == [path.name for path in (tmp_path / "state").iterdir()]


def test_the_folder_of_the_policies_is_no_place_for_copies(tmp_path: Path) -> None:
    """Old copies must never be taken for policies, nor policies be cleared away as old copies."""
    (tmp_path / "link").symlink_to(tmp_path)

    with pytest.raises(ValueError, match=r"state_directory is policies\.directory"):
        PolicyState(tmp_path / "link", tmp_path)
