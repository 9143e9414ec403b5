"""Records made up for the tests of the data programs.

The user's messages carry what they are about, ``#domain.action`` on a line of its own. So a test can say which route is
right in any policy set without asking the code it tests: the one with that domain and action, else the one for the
whole domain, else ``other``.
"""

import re
from collections.abc import Sequence
from random import Random

from data.records import Provenance, Record, Turn, assistant, granularity_of, make_route, user
from hypothesis import strategies as st

from archrouter.domain.policy import RoutePolicy

OTHER = "other"

_ABOUT = re.compile(r"#(\w+)\.(\w*)$")
_SUBJECTS = {
    # policy set -> domain -> actions; the empty action is the policy of the whole domain
    "workshop": {"wood": ("", "sawing", "gluing"), "metal": ("welding", "casting"), "paint": ("", "priming")},
    "harbour": {"ships": ("", "mooring", "loading"), "tides": ("forecast", "almanac")},
    "bakery": {"bread": ("", "kneading"), "cakes": ("icing", "layering", "")},
}
SETS = frozenset(_SUBJECTS)
_FILLER = (
    "tomorrow", "lantern", "seventeen", "quickly", "granite", "velvet", "orbit", "whisper", "puddle", "copper",
    "harvest", "meadow", "syllable", "thunder", "walnut", "zigzag",
)  # fmt: skip


def routes_of(policy_set: str) -> tuple[RoutePolicy, ...]:
    """Write the policies of a set."""
    return tuple(
        make_route(
            f"{domain}_{action}" if action else domain,
            domain,
            action,
            f"Use for {action} of {domain}" if action else f"Other matters of {domain}, such as buying it",
        )
        for domain, actions in _SUBJECTS[policy_set].items()
        for action in actions
    )


def right_route(text: str, routes: Sequence[RoutePolicy]) -> str:
    """Say what is right for a message by what it carries."""
    about = _ABOUT.search(text)
    if about is None:
        return OTHER
    domain, action = about.groups()
    for wanted in (action, ""):
        for route in routes:
            if (route.domain, route.action) == (domain, wanted):
                return route.id
    return OTHER


def request(text: str, domain: str, action: str) -> Turn:
    """Write a request with its label in the policy set as it was written."""
    return user(f"{text}\n#{domain}.{action}", f"{domain}_{action}" if action else domain)


def make_record(policy_set: str, name: str, random: Random) -> Record:
    """Make up a conversation of a policy set: requests, thanks, and requests that no policy covers."""
    routes = routes_of(policy_set)
    turns: list[Turn] = []
    for _ in range(random.randint(1, 5)):
        if turns:
            turns.append(assistant(random.choice(["Done.", "Here it is, as you asked."])))
        words = " ".join(random.choices(_FILLER, k=random.randint(1, 12)))
        route = random.choice([*routes, None, None])
        if route is not None:
            turns.append(request(words, route.domain, route.action))
        else:
            turns.append(user(random.choice(["thanks a lot", f"{words} nobody sells that"]), OTHER))
    return Record(
        id=f"{policy_set}/{name}",
        setting=policy_set,
        granularity=granularity_of(routes),
        policy_set=policy_set,
        routes=routes,
        turns=tuple(turns),
        provenance=Provenance("made up", "Apache-2.0", "tests", language="en"),
    )


def make_folder(seed: int) -> tuple[Record, ...]:
    """Make up a folder: three policy sets that have nothing in common, several conversations each."""
    random = Random(seed)  # noqa: S311 - reproducible data, not a secret
    return tuple(
        make_record(policy_set, f"talk-{number}", random)
        for policy_set, count in (("workshop", 3), ("harbour", 2), ("bakery", 2))
        for number in range(count)
    )


FOLDERS = st.integers(0, 10**6).map(make_folder)
"""Drawn by a seed, because drawing each word takes far longer than the changes that are tested."""
