"""An endpoint with OpenAI's chat completions on 127.0.0.1 that answers what a test wants, in the published forms.

The bodies follow https://platform.openai.com/docs/api-reference/chat/object and the errors that its library documents
(https://github.com/openai/openai-python, `openai/_exceptions.py`): an object ``error`` with message, type, param, code.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: its status, body and headers."""

    body: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its path, its Authorization header and its body."""

    path: str
    authorization: str
    body: Mapping[str, Any]  # Any: JSON of a known shape


def completion(content: str | None, *, finish_reason: str = "stop", refusal: str | None = None) -> Reply:
    """Write a chat completion in which the model says `content`."""
    message: dict[str, object] = {"role": "assistant", "content": content, "refusal": refusal, "annotations": []}
    document = {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion",
        "created": 1741569952,
        "model": "gpt-4.1-2025-04-14",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29},
        "service_tier": "default",
    }
    return Reply(json.dumps(document))


def error(status: int, message: str, code: str | None = None, **headers: str) -> Reply:
    """Write an error."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    document = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
    return Reply(json.dumps(document), status, named)


@contextmanager
def chat_endpoint(answer: Callable[[Asked], Reply]) -> Iterator[str]:
    """Serve; yields the address below which ``/chat/completions`` is."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library's name
            """Answer one request."""
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = answer(Asked(self.path, self.headers.get("Authorization", ""), body))
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply.body.encode())))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body.encode())

        do_GET = do_POST  # noqa: N815  # what a client that followed a redirect would send

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
