"""What is thrown away, what is tried again, and what is given up."""

from tests.support.drafting_workplace import Workplace
from tests.support.recorded_endpoint import Fault, Recording

CALLS_FROM_TOPICS = 29


def test_too_few_dialogues_fail_the_run(workplace: Workplace) -> None:
    """Each unusable answer too many costs its dialogue, and too low a yield is exit code 1."""
    workplace.configure(attempts={"answer": 1}, budget={"min_yield": 0.9})
    workplace.endpoint.play_first("DialogueReading", Fault.WRONG_SCHEMA, Fault.REFUSAL)

    result = workplace.run()

    assert 1 == result.exit_code
    assert {"answer_unusable": 2} == workplace.summary()["rejected"]
    assert "only 71.4 % of the planned dialogues" in result.stderr
    assert 5 == len(workplace.records())


def reading(route: str, *, coherent: bool = True) -> dict[str, object]:
    """Label both user messages of a recorded dialogue alike."""
    labels = [{"message": number, "route": route} for number in (0, 2)]
    return {"labels": labels, "coherent": coherent, "problem": "" if coherent else "The replies answer nothing."}


def test_incoherent_dialogue_is_written_again(workplace: Workplace) -> None:
    """Right labels are not enough: what could not have been said is thrown away as well."""
    route = "bicycle_workshop_tyre_choice"
    says = (reading(route, coherent=False), reading(route))
    workplace.endpoint.record(Recording("DialogueReading", ("35 or 40 mm",), says))

    result = workplace.run()

    assert 0 == result.exit_code
    assert {"labels_disagree": 1, "not_coherent": 1} == workplace.summary()["roles"]["labeller"]["thrown_away"]
    assert 7 == len(workplace.records())


def test_dialogue_that_never_finds_agreement_is_rejected_for_good(workplace: Workplace) -> None:
    """After the last attempt the report says on what the readers differ, and the next run does not try again."""
    workplace.endpoint.record(Recording("DialogueReading", ("35 or 40 mm",), (reading("bicycle_workshop"),)))

    result = workplace.run()

    assert 0 == result.exit_code
    assert {"labels_disagree": 1} == workplace.summary()["rejected"]
    assert "a reader took it for 'bicycle_workshop'" in result.stderr
    assert CALLS_FROM_TOPICS + 4 == workplace.endpoint.answers.total()
    assert 0 == workplace.run().exit_code
    assert CALLS_FROM_TOPICS + 4 == workplace.endpoint.answers.total()


def test_topic_without_accepted_policies_is_rejected(workplace: Workplace) -> None:
    """One policy is no choice, so the topic is left out when the rounds are over."""
    verdicts = [
        {"action": action, "verdict": kind, "description": "", "problem": "Not apart."}
        for action, kind in (("brake_adjustment", "accept"), ("bicycle_things", "reject"), ("", "reject"))
    ]
    workplace.endpoint.record(Recording("PolicyReview", ("bicycle_workshop",), ({"verdicts": verdicts},)))
    workplace.configure(attempts={"policy_rounds": 1}, budget={"min_yield": 0.5})

    result = workplace.run()

    assert 0 == result.exit_code
    assert {"too_few_policies": 1} == workplace.summary()["rejected"]
    assert "bicycle_workshop: 1 policies were accepted in 1 rounds" in result.stderr


def test_accepted_policies_outlive_a_later_round_that_fails(workplace: Workplace) -> None:
    """When the second round gives no usable answer, what the first one accepted is used."""
    verdicts = [
        {"action": action, "verdict": kind, "description": "", "problem": "Too narrow."}
        for action, kind in (("telescope_setup", "accept"), ("planet_finding", "accept"), ("", "reject"))
    ]
    workplace.endpoint.record(Recording("PolicyReview", ("stargazing",), ({"verdicts": verdicts},)))

    result = workplace.run()

    assert 0 == result.exit_code
    assert {"policy_turned_down": 2} == workplace.summary()["roles"]["policy_reviewer"]["thrown_away"]
    assert 6 == len(workplace.records())


def test_rejected_topic_leaves_the_other_in_the_set(workplace: Workplace) -> None:
    """A topic without usable policies is left out; its neighbour still gets data."""
    workplace.configure(attempts={"answer": 1}, endpoint={"max_concurrent_requests": 1}, budget={"min_yield": 0.1})
    workplace.endpoint.play_first("PolicyProposal", Fault.MALFORMED_JSON)

    result = workplace.run()

    assert 0 == result.exit_code
    assert ["bicycle_workshop"] == [failure["item"] for failure in workplace.summary()["failures"]]
    assert {"stargazing_telescope_setup", "stargazing_planet_finding", "stargazing", "other"} == set(
        workplace.summary()["dialogues"]["by_target"]
    )
