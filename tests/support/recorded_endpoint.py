"""A stand-in for an endpoint, for tests: plays recorded answers and faults on 127.0.0.1, and counts.

A recording is chosen by the type of answer that is asked for and by phrases of the question. Requests that carry the
same idempotency key are the same request; everything is counted by that key.
"""

import json
import re
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

MAX_REQUESTS = 2_000
"""A pipeline that asks without end is stopped here."""

MAX_HOLD_S = 30.0
"""Longest time a request is left without an answer, in seconds."""

INPUT_TOKENS = 100
OUTPUT_TOKENS = 50
"""What every answer says it used."""

_POLL_INTERVAL_S = 0.02  # between two looks whether to stop
_ANSWER_NAME = re.compile(r'"title": "(\w+)", "type": "object"\}\Z')


class Fault(StrEnum):
    """What can be wrong with an answer."""

    MALFORMED_JSON = "malformed_json"
    WRONG_SCHEMA = "wrong_schema"
    REFUSAL = "refusal"
    CUT_OFF = "cut_off"
    BROKEN_ENVELOPE = "broken_envelope"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    BAD_REQUEST = "bad_request"
    DIES_MID_RESPONSE = "dies_mid_response"
    HANGS_UP = "hangs_up"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Recording:
    """A question and what is said to it.

    Attributes:
        answer: Name of the type of answer that is asked for.
        when: Phrases that all stand in the question.
        says: Answers; each new request gets the next, and the last one stays.
    """

    answer: str
    when: tuple[str, ...]
    says: tuple[Mapping[str, object], ...]


class RecordedEndpoint:
    """A running stand-in.

    Attributes:
        requests: Arrived requests by idempotency key.
        answers: Fully sent answers with a completion in them, usable or not, by idempotency key: what one pays for.
        authorizations: Every Authorization header seen; empty text for none.
        most_at_a_time: Most requests that were open together.
        knows_schemas: Whether it takes ``response_format``.
        answers_before_hold: Answers after which every further request is left waiting; None for never.
        held: Released once for each request that is left waiting.
        status_for_all: Answered to everything when it is not 0.
        retry_after: Header of the fault `RATE_LIMITED`.
        answer_delay_s: Seconds before every answer.
        reports_usage: Whether answers say what they used.
        arrivals_s: When each request arrived, by a clock of its own.
    """

    def __init__(self, recordings: Sequence[Recording]) -> None:
        """Listen on a free port.

        Args:
            recordings: The first that fits is played.
        """
        self.requests: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.authorizations: set[str] = set()
        self.most_at_a_time = 0
        self.knows_schemas = True
        self.answers_before_hold: int | None = None
        self.held = threading.Semaphore(0)
        self.status_for_all = 0
        self.retry_after = "0"
        self.answer_delay_s = 0.0
        self.reports_usage = True
        self.arrivals_s: list[float] = []
        self._recordings = list(recordings)
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._places: dict[int, dict[str, int]] = defaultdict(dict)
        self._lock = threading.Lock()
        self._open: set[_Exchange] = set()
        self._granted_count = 0
        self._released = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_INTERVAL_S,))

    @property
    def base_url(self) -> str:
        """What the settings name."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        """Start to serve."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let everybody go and stop."""
        self.release()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def play_first(self, answer: str, *faults: Fault) -> None:
        """Play faults before the next answers of a type.

        Args:
            answer: Name of the type.
            faults: One for each request that arrives.
        """
        self._faults[answer].extend(faults)

    def record(self, recording: Recording) -> None:
        """Add a recording that goes before those that are there.

        Args:
            recording: What to say from now on.
        """
        self._recordings.insert(0, recording)

    def forget_faults(self) -> None:
        """Play no fault any more."""
        self._faults.clear()

    def release(self) -> None:
        """Hang up on everybody who was left waiting, and leave nobody waiting any more."""
        self.answers_before_hold = None
        self._released.set()

    def handle(self, exchange: "_Exchange") -> None:
        """Answer one request.

        Args:
            exchange: The request.
        """
        key = exchange.headers.get("Idempotency-Key", "")
        with self._lock:
            self.requests[key] += 1
            self.arrivals_s.append(time.monotonic())
            self.authorizations.add(exchange.headers.get("Authorization", ""))
            self._open.add(exchange)
            self.most_at_a_time = max(self.most_at_a_time, len(self._open))
            is_held = self.answers_before_hold is not None and self._granted_count >= self.answers_before_hold
            self._granted_count += not is_held
        try:
            if is_held:
                self.held.release()
                self._released.wait(MAX_HOLD_S)
            elif self.requests.total() > MAX_REQUESTS:
                exchange.fail(HTTPStatus.FORBIDDEN, "too many requests for one test")
            else:
                self._answer(exchange, key)
        finally:
            self.close(exchange)

    def close(self, exchange: "_Exchange") -> None:
        """Count a request as open no more: before its answer is sent, or whoever asks would ask again meanwhile.

        Args:
            exchange: The request.
        """
        with self._lock:
            self._open.discard(exchange)

    def _answer(self, exchange: "_Exchange", key: str) -> None:
        payload = exchange.payload()
        system, user = (message["content"] for message in payload["messages"])
        name = found[1] if (found := _ANSWER_NAME.search(system)) else ""
        if self.status_for_all:
            exchange.fail(self.status_for_all, "said to everything")
        elif not self.knows_schemas and "response_format" in payload:
            exchange.fail(HTTPStatus.BAD_REQUEST, "response_format is unknown")
        elif self._faults[name]:
            self._fail(exchange, key, self._faults[name].popleft())
        else:
            says = self._play(name, user, key)
            if says is None:
                exchange.fail(HTTPStatus.BAD_REQUEST, f"no recording of {name} for: {user}")
            else:
                self._bill(exchange, key, completion(json.dumps(says, ensure_ascii=False)))

    def _play(self, name: str, question: str, key: str) -> Mapping[str, object] | None:
        for recording in self._recordings:
            if recording.answer == name and all(phrase in question for phrase in recording.when):
                with self._lock:
                    places = self._places[id(recording)]
                    place = places.setdefault(key, len(places))
                return recording.says[min(place, len(recording.says) - 1)]
        return None

    def _bill(self, exchange: "_Exchange", key: str, body: str) -> None:
        time.sleep(self.answer_delay_s)
        exchange.send(HTTPStatus.OK, body if self.reports_usage else body.replace('"usage"', '"unused"'))
        with self._lock:
            self.answers[key] += 1

    def _fail(self, exchange: "_Exchange", key: str, fault: Fault) -> None:
        match fault:
            case Fault.RATE_LIMITED:
                exchange.fail(HTTPStatus.TOO_MANY_REQUESTS, "slow down", {"Retry-After": self.retry_after})
            case Fault.SERVER_ERROR:
                exchange.fail(HTTPStatus.INTERNAL_SERVER_ERROR, f"sent {exchange.headers.get('Authorization', '')}")
            case Fault.BAD_REQUEST:
                exchange.fail(HTTPStatus.BAD_REQUEST, "this one is not allowed")
            case Fault.DIES_MID_RESPONSE:
                body = completion("{}")
                exchange.send(HTTPStatus.OK, body[: len(body) // 2], content_length=len(body))
            case Fault.SLOW:
                self._released.wait(MAX_HOLD_S)
            case Fault.HANGS_UP:
                pass
            case _:
                self._bill(exchange, key, _UNUSABLE_BODIES[fault])


def completion(content: str, finish_reason: str = "stop", refusal: str | None = None) -> str:
    """Write a chat completion.

    Args:
        content: What the model says.
        finish_reason: Why it stopped.
        refusal: Its refusal; None when it did not refuse.

    Returns:
        The body of a response, ASCII.
    """
    message = {"role": "assistant", "content": content, "refusal": refusal}
    usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage})


_UNUSABLE_BODIES = {
    Fault.MALFORMED_JSON: completion('Sure! {"turns": [{"user": "half of a'),
    Fault.WRONG_SCHEMA: completion('{"something": ["else"]}'),
    Fault.REFUSAL: completion("", refusal="I would rather not."),
    Fault.CUT_OFF: completion('{"turns": [', finish_reason="length"),
    Fault.BROKEN_ENVELOPE: '{"choices": []}',
}


class _Server(ThreadingHTTPServer):
    def __init__(self, endpoint: RecordedEndpoint) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.endpoint = endpoint


class _Exchange(BaseHTTPRequestHandler):
    """One request; the connection is closed after it."""

    server: _Server

    def do_POST(self) -> None:  # the name is given by the base class
        """Answer a chat completion request; whoever asked may be gone by then.

        Of a program that was killed while it asked the end of the request never comes. That is no request: it takes no
        place among the answers that another one waits for.
        """
        byte_count = int(self.headers["Content-Length"])
        with suppress(ConnectionError):
            self._body = self.rfile.read(byte_count)
            if len(self._body) == byte_count:
                self.server.endpoint.handle(self)

    def payload(self) -> dict[str, Any]:  # Any: JSON of a known shape
        """Read the request's body."""
        document: dict[str, Any] = json.loads(self._body)
        return document

    def send(
        self, status: int, body: str, headers: Mapping[str, str] | None = None, content_length: int | None = None
    ) -> None:
        """Send a response."""
        self.server.endpoint.close(self)
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content) if content_length is None else content_length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def fail(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        """Send an error as OpenAI writes them."""
        self.send(status, json.dumps({"error": {"message": message, "type": "test"}}), headers)

    def log_message(self, *_: object) -> None:
        """Stay silent: a test has its own words."""
