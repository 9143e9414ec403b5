"""What a review does to drafts of policies."""

from data.drafting.answers import PolicyVerdict
from data.drafting.policy_writing import Drafts, _broken_action_rule, _broken_verdict_rule, settle_review

from archrouter.domain.policy import RoutePolicy
from archrouter.evaluation.dataset import PLACEHOLDER_MODEL


def route(action: str, description: str = "") -> RoutePolicy:
    """Make a policy of the domain `shop`."""
    text = description or f"Requests of the kind {action} in a shop with all that belongs to them"
    return RoutePolicy(f"shop_{action}" if action else "shop", "shop", action, text, (PLACEHOLDER_MODEL,))


def verdict(action: str, kind: str = "accept", description: str = "", problem: str = "") -> PolicyVerdict:
    """Make a verdict."""
    return PolicyVerdict.model_validate(
        {"action": action, "verdict": kind, "description": description, "problem": problem}
    )


def test_accepted_policies_are_kept() -> None:
    """They join those accepted before."""
    drafts = Drafts(kept=(route("refund"),), pending=(route("tracking", "Tracking of parcels that are on their way"),))

    settled = settle_review(drafts, [verdict("tracking")])

    assert ["refund", "tracking"] == [policy.action for policy in settled.kept]
    assert ((), ()) == (settled.pending, settled.problems)


def test_refined_policy_is_reviewed_again_in_its_new_words() -> None:
    """A reviewer's own wording needs a review too."""
    settled = settle_review(Drafts(pending=(route("tracking"),)), [verdict("tracking", "refine", "Better words")])

    assert ["Better words"] == [policy.description for policy in settled.pending]
    assert () == settled.kept


def test_rejected_policy_leaves_its_reason() -> None:
    """The reason goes to whoever writes the next proposal."""
    settled = settle_review(
        Drafts(pending=(route("tracking"), route(""))),
        [verdict("tracking", "reject", problem="too wide"), verdict("", "reject", problem="too small")],
    )

    assert Drafts(problems=("tracking: too wide", "the policy of the whole domain: too small")) == settled


def test_near_duplicate_is_turned_down_whatever_the_reviewer_says() -> None:
    """The project's own linter has the last word: two descriptions that say the same cannot both be kept."""
    words = "Tracking of parcels that are on their way to a customer"
    drafts = Drafts(pending=(route("tracking", words), route("tracking_parcels", f"{words} today")))

    settled = settle_review(drafts, [verdict("tracking"), verdict("tracking_parcels")])

    assert ["tracking"] == [policy.action for policy in settled.kept]
    assert settled.problems[0].startswith("tracking_parcels: shares")


def test_proposal_must_be_what_was_asked_for() -> None:
    """Count, names and novelty are checked, and the problem says what is wanted."""
    assert "" == _broken_action_rule(["refund", "", "tracking_help"], {"other"}, 2, wants_domain=True)
    assert "want 2 with an action and 0 without" in _broken_action_rule(["a", ""], set(), 2, wants_domain=False)
    assert "want 1 with an action and 1 without" in _broken_action_rule(["a"], set(), 1, wants_domain=True)
    assert "'Refund It' is no action" in _broken_action_rule(["Refund It"], set(), 1, wants_domain=False)
    assert "is there already" in _broken_action_rule(["refund"], {"refund"}, 1, wants_domain=False)
    assert "is there already" in _broken_action_rule(["refund", "refund"], set(), 2, wants_domain=False)


def test_review_must_cover_what_was_under_review() -> None:
    """No verdict is missing, none is made up, and each carries what it needs."""
    assert "" == _broken_verdict_rule([verdict("a"), verdict("")], {"a", ""})
    assert "exactly one on each" in _broken_verdict_rule([verdict("a")], {"a", "b"})
    assert "exactly one on each" in _broken_verdict_rule([verdict("a"), verdict("a")], {"a", "b"})
    assert "its description is empty" in _broken_verdict_rule([verdict("a", "refine")], {"a"})
    assert "its problem is empty" in _broken_verdict_rule([verdict("a", "reject")], {"a"})
