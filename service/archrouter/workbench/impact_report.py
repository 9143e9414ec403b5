"""An impact as a JSON document and as one HTML page."""

from archrouter.workbench.impact import ComparedTurn, Impact, Move, Share, Side
from archrouter.workbench.pages import page_environment

MOVE_COUNT = 20
"""Ways of change that a table lists; the JSON document has them all."""


def impact_document(impact: Impact, subject: str) -> dict[str, object]:
    """Write the figures as a JSON document; `subject` says what was compared on what."""
    price = impact.price
    return {
        "subject": subject,
        "turn_count": len(impact.turns),
        "unknown": dict(impact.unknown),
        "changed_route": _share(impact.routes),
        "changed_model": _share(impact.models),
        "decided": {kind: {name: _share(share) for name, share in shares} for kind, shares in impact.decided.items()},
        "routes": [_move(move) for move in impact.route_moves],
        "models": [_move(move) for move in impact.model_moves],
        "price": None
        if price is None
        else {
            "currency": price.prices.currency,
            "assumed_output_tokens": price.prices.output_tokens,
            "turn_count": price.turn_count,
            "before": price.before,
            "after": price.after,
            "models_without_price": list(price.unpriced),
        },
        "telling": [_telling(turn) for turn in impact.telling],
    }


def render_impact(impact: Impact, subject: str) -> str:
    """Write the page. What comes from files or the service is escaped, messages are shortened."""
    template = page_environment().get_template("impact.html")
    return template.render(impact=impact, subject=subject, move_count=MOVE_COUNT)


def _share(share: Share) -> dict[str, object]:
    interval = share.interval
    return {"count": share.count, "share": share.value, "interval": list(interval) if interval else None}


def _move(move: Move) -> dict[str, object]:
    named = {"policy_set": move.policy_set_id} if move.policy_set_id else {}
    return {**named, "before": move.before, "after": move.after, **_share(move.share)}


def _telling(turn: ComparedTurn) -> dict[str, object]:
    return {
        "id": turn.id,
        "policy_set": turn.policy_set_id,
        "text": turn.text,
        "before": _side(turn.before),
        "after": _side(turn.after),
    }


def _side(side: Side) -> dict[str, object]:
    return {"outcome": side.outcome, "route": side.route, "model": side.model, "confidence": side.confidence}
