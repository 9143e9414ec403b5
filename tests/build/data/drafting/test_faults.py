"""Generators that misbehave, endpoints that fail, budgets that end."""

from collections.abc import Callable

import pytest
from tests.support.drafting_workplace import Workplace
from tests.support.recorded_endpoint import Fault

CALLS_FROM_TOPICS = 29
UNUSABLE = {
    Fault.MALFORMED_JSON: "not_json",
    Fault.WRONG_SCHEMA: "wrong_schema",
    Fault.REFUSAL: "refusal",
    Fault.CUT_OFF: "cut_off",
    Fault.BROKEN_ENVELOPE: "envelope",
}
FREE = (Fault.RATE_LIMITED, Fault.SERVER_ERROR, Fault.DIES_MID_RESPONSE, Fault.HANGS_UP)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        *(("WrittenDialogue", fault) for fault in UNUSABLE),
        *((name, Fault.WRONG_SCHEMA) for name in ("PolicyProposal", "PolicyReview", "IntentList", "DialogueReading")),
    ],
)
def test_unusable_answer_is_asked_for_again(workplace: Workplace, answer: str, fault: Fault) -> None:
    """Whatever is wrong with an answer, and whoever gave it, it is counted, paid once, and replaced."""
    workplace.endpoint.play_first(answer, fault)

    result = workplace.run()

    assert 0 == result.exit_code
    assert CALLS_FROM_TOPICS + 1 == workplace.endpoint.answers.total()
    assert {1} == set(workplace.endpoint.answers.values())
    unusable = [account["unusable"] for account in workplace.summary()["roles"].values() if account["unusable"]]
    assert [{UNUSABLE[fault]: 1}] == unusable


def test_unusable_answers_are_not_bought_again_on_resume(workplace: Workplace) -> None:
    """A bad answer is in the journal like a good one, so a second run does not pay for it again either."""
    workplace.endpoint.play_first("WrittenDialogue", *UNUSABLE)
    workplace.run()
    before = workplace.endpoint.requests.copy()

    workplace.run()

    assert before == workplace.endpoint.requests


@pytest.mark.parametrize("fault", FREE)
def test_failed_request_is_sent_again(new_workplace: Callable[[], Workplace], fault: Fault) -> None:
    """A request that was not answered is repeated as it was, and the data are those of an undisturbed run."""
    undisturbed, workplace = new_workplace(), new_workplace()
    undisturbed.run()
    workplace.endpoint.play_first("WrittenDialogue", fault, fault)

    result = workplace.run()

    assert 0 == result.exit_code
    assert undisturbed.data() == workplace.data()
    assert CALLS_FROM_TOPICS == workplace.endpoint.answers.total()
    assert CALLS_FROM_TOPICS + 2 == workplace.endpoint.requests.total()
    assert 2 == workplace.summary()["roles"]["dialogue_writer"]["retries"]


def test_slow_request_is_given_up_and_sent_again(workplace: Workplace) -> None:
    """A generator that does not answer in time is asked again."""
    workplace.configure(endpoint={"timeout_s": 2.0})
    workplace.endpoint.play_first("IntentList", Fault.SLOW)

    result = workplace.run()

    assert 0 == result.exit_code
    assert 1 <= workplace.summary()["roles"]["intent_writer"]["retries"]


def test_retry_after_is_waited_for(workplace: Workplace) -> None:
    """Nothing is sent before the moment that the endpoint names."""
    workplace.configure(endpoint={"max_concurrent_requests": 1})
    workplace.endpoint.retry_after = "0.4"
    workplace.endpoint.play_first("PolicyProposal", Fault.RATE_LIMITED)

    result = workplace.run()

    assert 0 == result.exit_code
    first, second = workplace.endpoint.arrivals_s[:2]
    assert second - first >= 0.4


def test_retry_after_that_is_too_long_ends_the_run(workplace: Workplace) -> None:
    """An endpoint that wants an hour is not waited for; the message says when to come back."""
    workplace.endpoint.retry_after = "3600"
    workplace.endpoint.play_first("WrittenDialogue", Fault.RATE_LIMITED)

    result = workplace.run()

    assert 3 == result.exit_code
    assert "asks to wait 3600 s; run the command again then" in result.stderr
    assert 0 == workplace.run().exit_code
    assert {1} == set(workplace.endpoint.answers.values())


@pytest.mark.parametrize(("status", "words"), [(401, "refuses the key"), (402, "payment"), (403, "does not allow")])
def test_denied_access_ends_the_run_at_once(workplace: Workplace, status: int, words: str) -> None:
    """No retry cures a wrong key."""
    workplace.configure(endpoint={"max_concurrent_requests": 1})
    workplace.endpoint.status_for_all = status

    result = workplace.run()

    assert 3 == result.exit_code
    assert words in result.stderr
    assert 1 == workplace.endpoint.requests.total()


def test_request_that_no_endpoint_takes_ends_the_run(workplace: Workplace) -> None:
    """A 400 to the very first request is a mistake in the settings, not of one item."""
    workplace.configure(endpoint={"max_concurrent_requests": 1})
    workplace.endpoint.status_for_all = 400

    result = workplace.run()

    assert 3 == result.exit_code
    assert "it has taken no request so far, so check the settings" in result.stderr


def test_one_refused_request_costs_one_dialogue(workplace: Workplace) -> None:
    """Once others were answered, a 400 means this request alone: the item is rejected and the rest goes on."""
    workplace.endpoint.play_first("WrittenDialogue", Fault.BAD_REQUEST, Fault.BAD_REQUEST)
    workplace.configure(endpoint={"max_concurrent_requests": 1})

    result = workplace.run()

    assert 0 == result.exit_code
    assert {"request_refused": 1} == workplace.summary()["rejected"]
    assert 6 == len(workplace.records())


def test_absent_endpoint_ends_the_run_with_advice(workplace: Workplace) -> None:
    """Where nobody listens, the run ends after the attempts of one request, and says what to check."""
    workplace.configure(endpoint={"base_url": "http://127.0.0.1:9/v1"})

    result = workplace.run()

    assert 3 == result.exit_code
    assert "it has answered nothing so far, so check endpoint.base_url" in result.stderr


def test_endpoint_that_dies_for_good_uses_up_the_retries(workplace: Workplace) -> None:
    """When the endpoint stops answering in the middle, the run's own limit of retries ends it; it can go on later."""
    workplace.configure(budget={"retries": 5})
    workplace.endpoint.play_first("DialogueReading", *[Fault.HANGS_UP] * 30)

    result = workplace.run()

    assert 4 == result.exit_code
    assert "budget.retries is used up (" in result.stderr
    workplace.endpoint.forget_faults()
    assert 0 == workplace.run().exit_code
    assert {1} == set(workplace.endpoint.answers.values())


def test_item_that_keeps_failing_is_left_for_the_next_run(workplace: Workplace) -> None:
    """One request that always fails spoils neither the run nor the item: the next run asks again."""
    workplace.configure(attempts={"request": 2}, endpoint={"max_concurrent_requests": 1})
    workplace.endpoint.play_first("WrittenDialogue", Fault.SERVER_ERROR, Fault.SERVER_ERROR)

    first = workplace.run()

    assert 3 == first.exit_code
    assert "1 items got no answer" in first.stderr
    assert 6 == len(workplace.records())
    assert 0 == workplace.run().exit_code
    assert 7 == len(workplace.records())


def test_exhausted_budget_is_reported_and_raised_budget_goes_on(workplace: Workplace) -> None:
    """At the limit the run ends with exit code 4 and what is finished; with a higher one it completes."""
    limited = workplace.run("--max-calls", "25")

    assert 4 == limited.exit_code
    assert "budget.calls is used up: 25 of 25; raise it and run the command again" in limited.stderr
    assert 25 == workplace.endpoint.answers.total()
    assert 0 < len(workplace.records()) < 7
    assert 0 == workplace.run().exit_code
    assert CALLS_FROM_TOPICS == workplace.endpoint.answers.total()
    assert 7 == len(workplace.records())


def test_cost_is_limited_over_all_runs(workplace: Workplace) -> None:
    """What earlier runs paid counts; a limit on cost is exceeded by no more than the requests in flight."""
    first = workplace.run("--max-cost", "0.0019")
    bought = workplace.endpoint.answers.total()
    second = workplace.run("--max-cost", "0.0019")

    assert (4, 4) == (first.exit_code, second.exit_code)
    assert 10 <= bought <= 12
    assert bought == workplace.endpoint.answers.total()


def test_endpoint_that_reports_no_usage_cannot_have_a_cost_limit(workplace: Workplace) -> None:
    """A limit that cannot be kept is an error, not a hope."""
    workplace.endpoint.reports_usage = False

    result = workplace.run("--max-cost", "1")

    assert 3 == result.exit_code
    assert "limit budget.calls instead" in result.stderr
    assert 0 == workplace.run().exit_code
