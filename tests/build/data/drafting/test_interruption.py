"""Runs that end before their end: nothing finished is lost, and nothing is paid for twice."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from tests.support.drafting_workplace import Workplace

CALLS_FROM_TOPICS = 29
TIMEOUT_S = 60.0


def wait_until_held(workplace: Workplace, process: "subprocess.Popen[str]", answer_count: int) -> None:
    """Wait until a run has recorded its last answer and hangs on a request that nobody will answer."""
    assert workplace.endpoint.held.acquire(timeout=TIMEOUT_S)
    deadline_s = time.monotonic() + TIMEOUT_S
    while journal_lines(workplace) < answer_count:
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def journal_lines(workplace: Workplace) -> int:
    """Count the answers that are on disk."""
    return workplace.journal.read_bytes().count(b"\n") if workplace.journal.exists() else 0


def end(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait for a process and give its exit code and standard error."""
    _, errors = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, errors


@pytest.mark.parametrize("answer_count", [1, 8, 20])
def test_killed_run_goes_on_without_paying_twice(new_workplace: Callable[[], Workplace], answer_count: int) -> None:
    """After kill -9 the same command ends with the bytes of an undisturbed run; each answer was bought once."""
    undisturbed, workplace = new_workplace(), new_workplace()
    undisturbed.run()
    workplace.endpoint.answers_before_hold = answer_count
    process = workplace.start()
    wait_until_held(workplace, process, answer_count)
    process.kill()
    end(process)
    recorded = workplace.journal.read_bytes()
    workplace.endpoint.release()

    result = workplace.run()

    assert 0 == result.exit_code
    assert undisturbed.data() == workplace.data()
    assert workplace.journal.read_bytes().startswith(recorded)
    assert {1} == set(workplace.endpoint.answers.values())
    assert CALLS_FROM_TOPICS == workplace.endpoint.answers.total()
    assert answer_count == sum(account["replayed"] for account in workplace.summary()["roles"].values())


def test_run_killed_again_and_again_still_pays_once(new_workplace: Callable[[], Workplace]) -> None:
    """Three kills, one after every nine answers, change neither the data nor the bill."""
    undisturbed, workplace = new_workplace(), new_workplace()
    undisturbed.run()
    for answer_count in range(9, 28, 9):
        workplace.endpoint.answers_before_hold = answer_count
        process = workplace.start()
        wait_until_held(workplace, process, answer_count)
        process.kill()
        end(process)
        while workplace.endpoint.held.acquire(blocking=False):
            pass

    workplace.endpoint.release()
    result = workplace.run()

    assert 0 == result.exit_code
    assert undisturbed.data() == workplace.data()
    assert {1} == set(workplace.endpoint.answers.values())


def test_a_request_that_a_kill_cut_off_takes_no_answer(workplace: Workplace) -> None:
    """The next run gets all that the endpoint has to give."""
    workplace.endpoint.answers_before_hold = 1
    address = urlsplit(workplace.endpoint.base_url)
    with socket.create_connection((address.hostname, address.port)) as asking:
        asking.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 9\r\n\r\n{")

    process = workplace.start()
    wait_until_held(workplace, process, 1)
    process.kill()
    end(process)


def test_killed_run_gives_its_finished_records_without_a_call(new_workplace: Callable[[], Workplace]) -> None:
    """What was finished before a kill is written from the journal alone, with no endpoint at all."""
    undisturbed, workplace = new_workplace(), new_workplace()
    undisturbed.run()
    workplace.endpoint.answers_before_hold = 24
    process = workplace.start()
    wait_until_held(workplace, process, 24)
    process.kill()
    end(process)
    asked_before = workplace.endpoint.requests.total()

    result = workplace.run("--max-calls", "0")

    assert 4 == result.exit_code
    assert asked_before == workplace.endpoint.requests.total()
    finished = workplace.records()
    assert 0 < len(finished) < len(undisturbed.records())
    assert all(record in undisturbed.records() for record in finished)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_says_so_and_goes_on(workplace: Workplace, kind: signal.Signals) -> None:
    """A signal ends the run in order: the answers on their way are waited for, the exit code is 5."""
    workplace.endpoint.answers_before_hold = 10
    process = workplace.start()
    wait_until_held(workplace, process, 10)
    process.send_signal(kind)
    assert process.stderr is not None
    assert process.stderr.readline().startswith(f"{kind.name}: waiting for the answers that are on their way")
    workplace.endpoint.release()

    code, errors = end(process)

    assert 5 == code
    assert f"stopped: {kind.name}; run the same command again to go on" in errors
    assert 0 == workplace.run().exit_code
    assert {1} == set(workplace.endpoint.answers.values())


def test_answer_that_arrives_after_the_signal_is_kept(workplace: Workplace) -> None:
    """What was asked before the signal is recorded when it comes, for it will be on the bill."""
    workplace.endpoint.answer_delay_s = 0.5
    process = workplace.start()
    deadline_s = time.monotonic() + TIMEOUT_S
    while not workplace.endpoint.requests:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)

    code, _ = end(process)

    assert 5 == code
    assert 0 < workplace.endpoint.answers.total() == journal_lines(workplace)


@pytest.mark.parametrize("torn", [b'{"digest": "sha256:12', b"\0" * 100, b'{"digest": "sha256:12\n', b"\0\0\0\n"])
def test_torn_last_line_is_dropped_and_nothing_else(workplace: Workplace, torn: bytes) -> None:
    """What a crash leaves at the end of the journal costs nothing but itself."""
    workplace.run()
    whole = workplace.journal.read_bytes()
    workplace.journal.write_bytes(whole + torn)

    result = workplace.run()

    assert 0 == result.exit_code
    assert whole == workplace.journal.read_bytes()
    assert {1} == set(workplace.endpoint.answers.values())


def test_lost_last_answer_is_the_only_one_bought_again(workplace: Workplace) -> None:
    """When a crash tore the last line itself, just that answer is asked for again."""
    workplace.run()
    workplace.journal.write_bytes(workplace.journal.read_bytes()[:-20])

    result = workplace.run()

    assert 0 == result.exit_code
    assert CALLS_FROM_TOPICS + 1 == workplace.endpoint.answers.total()


def test_damage_inside_the_journal_is_an_error_that_names_the_line(workplace: Workplace) -> None:
    """A journal that something else wrote into is not guessed at."""
    workplace.run()
    lines = workplace.journal.read_bytes().split(b"\n")
    workplace.journal.write_bytes(b"\n".join([lines[0], b"scribble", *lines[1:]]))

    result = workplace.run()

    assert 2 == result.exit_code
    assert "journal.jsonl:2: is no entry of a journal" in result.stderr


def test_two_runs_cannot_share_an_output_folder(workplace: Workplace) -> None:
    """Two runs at a time would pay for the same answers; the second is refused before it asks anything."""
    workplace.configure(endpoint={"max_concurrent_requests": 1})
    workplace.endpoint.answers_before_hold = 2
    process = workplace.start()
    wait_until_held(workplace, process, 2)
    asked_before = workplace.endpoint.requests.total()

    result = workplace.run()

    process.kill()
    end(process)
    assert 2 == result.exit_code
    assert "another run is using it" in result.stderr
    assert asked_before == workplace.endpoint.requests.total()


def test_changed_settings_buy_only_what_they_change(workplace: Workplace) -> None:
    """Another temperature for the second reader asks that reader again, and nobody else."""
    workplace.run()
    settings = workplace.folder / "settings.toml"
    text = settings.read_text(encoding="utf-8")
    head, labeller = text.split("[roles.labeller]")
    settings.write_text(f"{head}[roles.labeller]{labeller.replace('0.5', '0.1')}", encoding="utf-8")

    result = workplace.run()

    assert 0 == result.exit_code
    accounts = workplace.summary()["roles"]
    assert 0 == accounts["labeller"]["replayed"]
    assert all(account["answers"] == account["replayed"] for name, account in accounts.items() if name != "labeller")
