"""The pipeline end to end against recorded answers: what it makes, what it says, what it never shows."""

import json
from collections.abc import Callable
from dataclasses import replace

from tests.support.drafting_workplace import ROLES, Workplace
from tests.support.recorded_endpoint import Fault

from archrouter.domain.policy import NO_MATCH_ID
from archrouter.evaluation.dataset import Granularity, read_dataset

CALLS_FROM_TOPICS = 29
DIALOGUES_FROM_TOPICS = 7


def test_run_from_topics_gives_a_benchmark_folder(workplace: Workplace) -> None:
    """Topics become one policy set and one dialogue per policy and uncovered request, readable by the evaluation."""
    result = workplace.run()

    dataset = read_dataset(workplace.out)
    assert (0, DIALOGUES_FROM_TOPICS) == (result.exit_code, len(dataset.conversations))
    assert 2 * DIALOGUES_FROM_TOPICS == dataset.turn_count
    assert [
        "bicycle_workshop_brake_adjustment",
        "bicycle_workshop_tyre_choice",
        "bicycle_workshop",
        "stargazing_telescope_setup",
        "stargazing_planet_finding",
        "stargazing",
    ] == [route.id for route in dataset.policy_sets["drafted-001"].routes]
    coarse = [c.id for c in dataset.conversations if c.granularity is Granularity.COARSE]
    assert ["drafted/drafted-001/bicycle_workshop/001-1", "drafted/drafted-001/stargazing/001-1"] == coarse


def test_review_rewords_one_policy_and_replaces_another(workplace: Workplace) -> None:
    """A refined description is what the set has in the end, and a rejected policy gives way to a new one."""
    workplace.run()

    routes = read_dataset(workplace.out).policy_sets["drafted-001"]
    domain_policy = routes.route("bicycle_workshop")
    assert domain_policy is not None
    assert domain_policy.description.startswith("Any other request about a bicycle workshop")
    assert routes.route("bicycle_workshop_bicycle_things") is None
    assert {"policy_turned_down": 1} == workplace.summary()["roles"]["policy_reviewer"]["thrown_away"]


def test_dialogue_is_written_again_when_the_second_reader_disagrees(workplace: Workplace) -> None:
    """The first attempt is nowhere in the data, the second is, and the report counts the one thrown away."""
    workplace.run()

    record = workplace.records()[0]
    assert 2 == record["provenance"]["attempt"]
    assert "how do I make it quiet" in record["messages"][0]["content"]
    assert b"what would a shop take" not in workplace.data()["drafted.jsonl"]
    assert {"labels_disagree": 1} == workplace.summary()["roles"]["labeller"]["thrown_away"]


def test_record_names_models_prompts_and_journal_entries(workplace: Workplace) -> None:
    """Every digest in a record's provenance is that of an answer in the journal."""
    workplace.run()

    journal = {json.loads(line)["digest"] for line in workplace.journal.read_text(encoding="utf-8").splitlines()}
    for record in workplace.records():
        provenance = record["provenance"]
        assert {role: f"{role}-model" for role in ROLES[2:]} == provenance["models"]
        assert {"write_intents", "write_uncovered_intents", "write_dialogue", "label_dialogue"} == set(
            provenance["prompts"]
        )
        assert 3 == len(set(provenance["journal"]))
        assert set(provenance["journal"]) <= journal
        assert record["origin"] == provenance["journal"][1]


def test_run_from_a_policy_file_makes_data_for_exactly_its_policies(workplace: Workplace) -> None:
    """The team's policies are used word for word, and every one of them, and none besides, is aimed at."""
    result = workplace.run(policies=True)

    dataset = read_dataset(workplace.out)
    assert 0 == result.exit_code
    assert {"bookshop"} == set(dataset.policy_sets)
    assert [
        ("orders_tracking", "Tracking of books that are on their way, where the parcel is and when it arrives"),
        ("advice", "Advice on what to read next, such as a book like another one or one for an occasion"),
    ] == [(route.id, route.description) for route in dataset.policy_sets["bookshop"].routes]
    assert {"orders_tracking": 1, "advice": 1, NO_MATCH_ID: 1} == workplace.summary()["dialogues"]["by_target"]


def test_second_run_asks_nothing_and_writes_the_same_bytes(workplace: Workplace) -> None:
    """A finished run is done again from the journal alone."""
    workplace.run()
    before = workplace.data()

    again = workplace.run()

    assert 0 == again.exit_code
    assert CALLS_FROM_TOPICS == workplace.endpoint.requests.total()
    assert before == workplace.data()
    assert all(account["answers"] == account["replayed"] for account in workplace.summary()["roles"].values())


def test_data_do_not_depend_on_how_many_requests_run_at_a_time(new_workplace: Callable[[], Workplace]) -> None:
    """One request at a time and eight at a time give the same bytes."""
    one, eight = new_workplace(), new_workplace()
    one.configure(endpoint={"max_concurrent_requests": 1})
    eight.configure(endpoint={"max_concurrent_requests": 8})

    one.run()
    eight.run()

    assert one.data() == eight.data()
    assert 1 == one.endpoint.most_at_a_time


def test_requests_in_flight_stay_within_the_limit(workplace: Workplace) -> None:
    """However much there is to do, at most the configured number of requests is open."""
    workplace.run()

    assert workplace.endpoint.most_at_a_time <= 3


def test_counters_add_up_to_what_was_bought(workplace: Workplace) -> None:
    """Answers, tokens and cost by role sum to those of the journal; 100 tokens in at 1 and 50 out at 2 cost 0.0002."""
    workplace.run()

    summary = workplace.summary()
    roles = summary["roles"].values()
    assert CALLS_FROM_TOPICS == sum(account["answers"] for account in roles) == summary["spent_in_all_runs"]["calls"]
    assert 150 * CALLS_FROM_TOPICS == summary["spent_in_all_runs"]["tokens"]
    assert round(0.0002 * CALLS_FROM_TOPICS, 6) == summary["spent_in_all_runs"]["cost"]


def test_plan_asks_nothing_and_its_least_is_what_a_smooth_run_takes(workplace: Workplace) -> None:
    """The plan's lower bound is met by a run without rejections; here two topics take one round more than that."""
    planned = json.loads(workplace.run("--plan", "--json").stdout)

    assert 0 == workplace.endpoint.requests.total()
    assert not workplace.out.exists()
    workplace.run()
    extra_round, thrown_away = 2, 2
    assert CALLS_FROM_TOPICS == planned["calls"]["fewest"] + extra_round + thrown_away
    assert CALLS_FROM_TOPICS == json.loads(workplace.run("--plan", "--json").stdout)["answers_in_journal"]


def test_plan_table_names_every_role_and_the_budget(workplace: Workplace) -> None:
    """People see models and calls by role, and the limit that applies."""
    result = workplace.run("--plan")

    assert 0 == result.exit_code
    for role in ROLES:
        assert role in result.stdout
    assert "budget.calls is 200; the journal already holds 0 answers" in result.stdout


def test_json_summary_is_one_document_on_standard_output(workplace: Workplace) -> None:
    """Programs read standard output, people's words go to standard error."""
    result = workplace.run("--json")

    assert "complete" == json.loads(result.stdout)["outcome"]
    assert "complete\n" == result.stderr


def test_endpoint_without_json_schemas_is_asked_by_prompt_alone(workplace: Workplace) -> None:
    """A refused response_format costs one free request per model, not the run."""
    workplace.endpoint.knows_schemas = False

    result = workplace.run()

    assert 0 == result.exit_code
    assert CALLS_FROM_TOPICS == workplace.endpoint.answers.total()
    assert {1} == set(workplace.endpoint.answers.values())


def test_key_is_sent_and_never_shown(workplace: Workplace) -> None:
    """The key reaches the endpoint, and neither output nor any file holds it, even when the endpoint echoes it."""
    key = "sk-test-0123456789"
    (workplace.folder / "key").write_text(f"{key}\n", encoding="ascii")
    workplace.configure(endpoint={"key_file": "key"}, attempts={"request": 1})
    workplace.endpoint.play_first("PolicyProposal", Fault.SERVER_ERROR, Fault.SERVER_ERROR)
    result = workplace.run()

    assert 3 == result.exit_code
    assert {f"Bearer {key}"} == workplace.endpoint.authorizations
    assert "sent Bearer [key]" in result.stderr
    written = [path.read_text(encoding="utf-8") for path in workplace.out.rglob("*") if path.is_file()]
    assert key not in "".join([result.output, *written])


def test_key_over_plain_http_to_another_machine_is_warned_of(workplace: Workplace) -> None:
    """Whoever configures it hears of it before anything is sent."""
    (workplace.folder / "key").write_text("sk-test", encoding="ascii")
    workplace.configure(endpoint={"key_file": "key", "base_url": "http://llm.example/v1"})

    result = workplace.run("--plan")

    assert 0 == result.exit_code
    assert "so the key can be read on the way" in result.stderr


def test_policies_and_topics_together_are_refused(workplace: Workplace) -> None:
    """Data are made for given policies or about topics; both at once would be a misunderstanding."""
    result = workplace.run("--policies", str(workplace.policies))

    assert 2 == result.exit_code
    assert "--policies and --topics exclude each other" in result.stderr


def test_wrong_policy_file_ends_with_its_findings(workplace: Workplace) -> None:
    """The findings are those of `archrouter check`, and no journal is made."""
    path = workplace.folder / "wrong.yaml"
    path.write_text("policy_set: wrong\n", encoding="utf-8")

    result = replace(workplace, policies=path).run(policies=True)

    assert 2 == result.exit_code
    assert f"{path}:1:1" in result.stderr
    assert not workplace.out.exists()


def test_help_shows_examples_and_exit_codes(workplace: Workplace) -> None:
    """The help is enough to begin."""
    result = workplace.run("--help")

    assert 0 == result.exit_code
    assert "python -m data.drafting settings.toml --out out/drafted --plan" in result.stdout
    assert "4  the budget is used up" in result.stdout
