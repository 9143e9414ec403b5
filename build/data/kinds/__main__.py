"""Write benchmarks/data/kinds: policy sets and one file of labelled conversations for each kind of message.

Most kinds change a bare request and not its answer, so that each line names the bare one in ``sources``; `python -m
compact_router.measure --benchmark` counts those that were right bare and are wrong changed.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import yaml

from data.augment.drawing import seeded

SOURCES = Path(__file__).parent
TARGET = Path(__file__).parents[3] / "benchmarks" / "data" / "kinds"

OTHER = "other"
FEW_ROUTES = 3
ALL_ROUTES = "all"

Json = Mapping[str, Any]  # Any: YAML and JSON documents


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that stands by itself, its route, and an answer to it."""

    policy_set: str
    route: str
    text: str
    answer: str


@dataclass(slots=True)
class Writer:
    """Collects lines by kind."""

    lines: dict[str, list[Json]] = field(default_factory=dict)
    bare: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, policy_set: str, texts: Sequence[str], route: str, *, bare: str = "") -> None:
        """Add a conversation whose last text is labelled; ``bare`` is the request that was changed."""
        lines = self.lines.setdefault(kind, [])
        roles = ("user", "assistant")
        line = {
            "id": f"{kind}/{len(lines) + 1:03}",
            "setting": kind,
            "source": "archrouter_kinds",
            "license": "Apache-2.0",
            "origin": "sets.yaml",
            "granularity": "fine",
            "policy_set": policy_set,
            "messages": [{"role": roles[index % 2], "content": text} for index, text in enumerate(texts)],
            "labels": [{"turn": len(texts) - 1, "route": route}],
            "language": "en",
            "augmentations": [kind] if bare else [],
            "seed": None,
            "sources": [self.bare[bare]] if bare else [],
        }
        if kind == "bare":
            self.bare[texts[-1]] = f"{kind}/{len(lines) + 1:03}"
        lines.append(line)


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m data.kinds", description=__doc__)
    parser.add_argument("target", type=Path, nargs="?", default=TARGET, help="default: the folder in this tree")
    target: Path = parser.parse_args().target
    sets = yaml.safe_load((SOURCES / "sets.yaml").read_text(encoding="utf-8"))
    said = yaml.safe_load((SOURCES / "wordings.yaml").read_text(encoding="utf-8"))
    (target / "policies").mkdir(parents=True, exist_ok=True)
    for name, routes in policy_sets(sets, said):
        document = {"policy_set": name, "routes": routes}
        (target / "policies" / f"{name}.json").write_text(_json(document, indent=1), encoding="utf-8")
    for kind, lines in compose(sets, said).items():
        text = "".join(_json(line) for line in lines)
        (target / f"{kind}.jsonl").write_text(text, encoding="utf-8")
        print(f"{kind}: {len(lines)}")


def policy_sets(sets: Json, said: Json) -> Iterator[tuple[str, list[Json]]]:
    """List the policy sets: as written, with a route for talk, with names alone, a few routes, and all together."""
    everything = []
    for name, document in sets.items():
        routes = [_route(name, *each) for each in document["routes"].items()]
        everything += routes
        yield name, routes
        yield f"{name}-names", [{**route, "description": ""} for route in routes]
        yield f"{name}-few", routes[:FEW_ROUTES]
        for talk in (*said["small_talk"], *said["catch_alls"]):
            yield f"{name}-{talk['name']}", [*routes, {**talk, "domain": talk["name"], "action": ""}]
    yield ALL_ROUTES, everything


def compose(sets: Json, said: Json) -> dict[str, list[Json]]:
    """Make the labelled conversations, by kind."""
    writer = Writer()
    asks = {name: list(_asks(name, document)) for name, document in sets.items()}
    for own in asks.values():
        for ask in own:
            writer.add("bare", ask.policy_set, [ask.text], ask.route)
    for name, own in asks.items():
        _add_dressed(writer, own, sets, said, seeded("kinds", name))
        _add_switches(writer, own, sets[name], said, seeded("switches", name))
        _add_offers(writer, name, own, sets[name], said, seeded("offers", name))
        _add_talk(writer, name, own, said, seeded("talk", name))
    return writer.lines


def _add_dressed(writer: Writer, own: Sequence[Ask], sets: Json, said: Json, random: Random) -> None:
    """Add requests with something around them, or among other routes."""
    few = list(sets[own[0].policy_set]["routes"])[:FEW_ROUTES]
    for number, ask in zip(count(), own, strict=False):
        name, route, text = ask.policy_set, ask.route, ask.text

        def add(kind: str, said_so: str, policy_set: str = name, route: str = route, text: str = text) -> None:
            writer.add(kind, policy_set, [said_so], route, bare=text)

        add("lead_in", f"{random.choice(said['lead_ins'])} {text}")
        add("closing", f"{text} {random.choice(said['closings'])}")
        other = random.choice([each for each in own if each.route != route]).text
        if number % 2:
            add("noise", random.choice(said["noise"]).replace("{ask}", text).replace("{other}", other))
        else:
            paste, more = random.sample(said["pastes"], 2)
            parts = ([text, paste], [paste, more, text], [paste, text, more[: len(more) // 3]])[number // 2 % 3]
            add("paste", "\n\n".join(parts))
        add("names_only", text, f"{name}-names")
        add("all_routes", text, ALL_ROUTES)
        if route in few:
            add("few_routes", text, f"{name}-few")


def _add_switches(writer: Writer, own: Sequence[Ask], document: Json, said: Json, random: Random) -> None:
    """Add changes of subject: bare, with a cue, after thanks, and pointing back."""
    name = own[0].policy_set
    for ask in own:
        before = random.choice([each for each in own if each.route != ask.route])
        exchange = [before.text, before.answer]
        writer.add("switch", name, [*exchange, ask.text], ask.route, bare=ask.text)
        cue = random.choice([*said["after_answers"], *said["cues"]])
        writer.add("switch_cue", name, [*exchange, f"{cue} {ask.text}"], ask.route, bare=ask.text)
    for _, exchange_text, route, text in document["anaphora"]:
        writer.add("anaphora", name, [*exchange_text.split(" => "), text], route)
    for ask in own[::3]:
        before = random.choice([each for each in own if each.route != ask.route])
        text = f"{random.choice(said['after_answers'])} {ask.text}"
        writer.add(
            "switch_back", name, [ask.text, ask.answer, before.text, before.answer, text], ask.route, bare=ask.text
        )


def _add_offers(writer: Writer, name: str, own: Sequence[Ask], document: Json, said: Json, random: Random) -> None:
    """Add yeses to offers, and requests to go on."""
    for route, request, offer in document["offers"]:
        for reply in random.sample(said["confirmations"], 3):
            writer.add("confirm", name, [request, offer, reply], route)
    for route, before_route, offer in document["others"]:
        before = next(each for each in own if each.route == before_route)
        for reply in random.sample(said["confirmations"], 3):
            writer.add("other_offer", name, [before.text, offer, reply], route)
    for ask in own[::2]:
        writer.add("continue", name, [ask.text, ask.answer, random.choice(said["continuations"])], ask.route)


def _add_talk(writer: Writer, name: str, own: Sequence[Ask], said: Json, random: Random) -> None:
    """Add small talk and requests that fit no route, in sets with and without a route for them."""
    for text in (*random.sample(said["social"], 6), *random.sample(said["thanks"], 6)):
        ask = random.choice(own)
        before = [ask.text, ask.answer] if text in said["thanks"] else []
        writer.add("small_talk_none", name, [*before, text], OTHER)
        small_talk, catch_all = random.choice(said["small_talk"])["name"], random.choice(said["catch_alls"])["name"]
        writer.add("small_talk_route", f"{name}-{small_talk}", [*before, text], small_talk)
        writer.add("small_talk_catch_all", f"{name}-{catch_all}", [*before, text], catch_all)
    for text in random.sample(said["foreign"], 8):
        catch_all = random.choice(said["catch_alls"])["name"]
        writer.add("foreign_none", name, [text], OTHER)
        writer.add("foreign_catch_all", f"{name}-{catch_all}", [text], catch_all)
        small_talk = random.choice(said["small_talk"])["name"]
        writer.add("foreign_small_talk", f"{name}-{small_talk}", [text], OTHER)
    for ask in own[::2]:
        talk = random.choice([*said["small_talk"], *said["catch_alls"]])["name"]
        text = f"{random.choice(said['lead_ins'])} {ask.text}"
        writer.add("lead_in_beside_talk", f"{name}-{talk}", [text], ask.route, bare=ask.text)


def _asks(name: str, document: Json) -> Iterator[Ask]:
    for route, texts in document["asks"].items():
        for text in texts:
            request, _, answer = text.partition(" => ")
            yield Ask(name, route, request, answer)


def _route(policy_set: str, name: str, description: str) -> Json:
    domain, _, action = name.partition("_") if name.split("_", maxsplit=1)[0] in PREFIXES else (policy_set, "", name)
    return {"name": name, "domain": domain, "action": action, "description": description}


PREFIXES = ("vet", "museum", "charter", "lessons", "instrument", "gym", "turbine", "site", "grid", "lease")
"""Names of routes that begin with their domain."""


def _json(document: Json, indent: int | None = None) -> str:
    return json.dumps(document, ensure_ascii=False, indent=indent) + "\n"


if __name__ == "__main__":
    main()
