"""Asks for one decision: all that a Python caller needs."""

import sys

from archrouter.client import BlockingRoutingClient, ClientOptions, parse_conversation
from archrouter.v1 import ModelTarget

chat = [{"role": "user", "content": "my flask app returns 500, here is the traceback: KeyError user"}]
with BlockingRoutingClient(ClientOptions(sys.argv[1], timeout_s=5.0)) as client:
    fallback = [ModelTarget(model="openai/gpt-4.1")]
    selection = client.select_models(parse_conversation(chat).request(), default=fallback)
    print("service" if selection.decision else "fallback", selection.models[0].model, selection.cause)
