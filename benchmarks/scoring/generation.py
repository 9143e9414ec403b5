"""The way of the reference integration: generate the JSON answer, then parse it leniently."""

import json


def parse_answer(text: str) -> str | None:
    """Read the route out of a generated answer.

    Does what the reference gateway does (katanemo/archgw, ``router_model_v1.rs``): apostrophes become double quotes, a
    JSON fence goes, then strict JSON; and what its successors add: only the span from the first brace to the last.

    Args:
        text: What the model generated.

    Returns:
        The route's name; None where the answer holds none.
    """
    text = text.replace("\\n", "").replace("'", '"')
    begin, end = text.find("{"), text.rfind("}")
    if begin < 0 or end < begin:
        return None
    try:
        answer = json.loads(text[begin : end + 1])
    except ValueError:
        return None
    route = answer.get("route") if isinstance(answer, dict) else None
    return route if isinstance(route, str) else None
