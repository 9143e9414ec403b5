"""What the doctor found, as a JSON document and as one HTML page."""

from collections import Counter
from collections.abc import Mapping, Sequence

from archrouter.domain.policy import NO_MATCH_ID
from archrouter.workbench.pages import page_environment
from archrouter.workbench.policy_cases import Asked
from archrouter.workbench.policy_findings import Kind, PolicyFinding
from archrouter.workbench.policy_trial import Trial, Visit

CONVERSATION_COUNT = 10
"""Conversations that the page lists of a finding; the JSON document has them all."""

_MEANINGS = {
    Kind.CONFUSED_PAIR: "Conversations of one go to the other. Say in both descriptions where the border is.",
    Kind.NEVER_WINS: "It wins no labelled conversation, not even its own. Describe what its users ask, in their words.",
    Kind.CATCHES_OTHERS: "It takes what is not its own. Narrow the description, unless the route is meant to be wide.",
    Kind.LOSES_TO_NO_MATCH: "A catch-all whose conversations go to no route. Say what it is for.",
    Kind.SHORTER_IS_BETTER: "The first clause of the description alone does better. Leave out the rest.",
}


def visits_document(visits: Sequence[Visit], diffs: Mapping[str, str], drafted_by: str = "") -> dict[str, object]:
    """Write what was found as a JSON document.

    Args:
        visits: One for each policy set.
        diffs: By policy set, the wordings that are better, as a diff of its file.
        drafted_by: The model that drafted conversations, and where; empty where none did.
    """
    return {
        "drafted_by": drafted_by or None,
        "policy_sets": [_visit(seen, diffs.get(seen.policy_set.id, "")) for seen in visits],
    }


def render_visits(document: Mapping[str, object], subject: str) -> str:
    """Write a document of `visits_document` as a page. What comes from files, the service or a model is escaped."""
    meanings = {kind.name: (kind.value, meaning) for kind, meaning in _MEANINGS.items()}
    template = page_environment().get_template("policies.html")
    return template.render(document, subject=subject, meanings=meanings, shown_count=CONVERSATION_COUNT)


def _visit(seen: Visit, diff: str) -> dict[str, object]:
    return {
        "policy_set": seen.policy_set.id,
        "case_count": len(seen.asked),
        "sources": dict(Counter(asked.case.source.value for asked in seen.asked)),
        "untested": list(seen.untested),
        "findings": [_finding(finding) for finding in seen.findings],
        "tried_count": seen.trial_count,
        "proposals": [_trial(trial) for trial in seen.accepted],
        "diff": diff,
    }


def _finding(finding: PolicyFinding) -> dict[str, object]:
    return {
        "kind": finding.kind.name,
        "routes": list(finding.route_ids),
        "evidence_count": len(finding.evidence),
        "case_count": finding.case_count,
        "conversations": [_conversation(asked) for asked in finding.evidence],
    }


def _conversation(asked: Asked) -> dict[str, object]:
    return {
        "text": asked.case.text,
        "source": asked.case.source.value,
        "topic": asked.case.topic,
        "expected": (asked.case.expected or NO_MATCH_ID) if asked.case.is_labelled else None,
        "winner": asked.verdict.winner or NO_MATCH_ID,
        "probabilities": {route or NO_MATCH_ID: value for route, value in asked.verdict.probabilities.items()},
    }


def _trial(trial: Trial) -> dict[str, object]:
    return {
        "kind": trial.finding.kind.name,
        "routes": list(trial.finding.route_ids),
        "wording": trial.summary,
        "right_before": trial.right_before,
        "right_after": trial.right_after,
        "case_count": trial.case_count,
    }
