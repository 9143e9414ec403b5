"""Sample questions whose answers show how a language model writes them: easy ones, since only their form matters."""

from collections.abc import Iterator

from archrouter.domain.conversation import Conversation, Message, Role
from archrouter.domain.policy import PolicySet, RoutePolicy

_ROUTES = (
    ("bug_fixing", "finding and fixing a bug"),
    ("book_flight", "plane tickets and airports"),
    ("weather_forecast", "weather of today and the next days"),
    ("recipe_ideas", "cooking a meal and its recipe"),
    ("play_music", "songs, artists and playlists"),
)
_TURNS = (
    "debug this python crash",
    "find me a flight to Rome next week",
    "will it rain tomorrow?",
    "how do I cook lentil soup",
    "play some jazz",
    "my program throws an exception, fix it",
    "which airport is closest to Oslo",
    "weather for the weekend",
    "a recipe for bread please",
    "put on my favourite album",
)


def probe_requests() -> Iterator[tuple[PolicySet, Conversation]]:
    """List the questions.

    Yields:
        A policy set and a conversation; each of the turns alone and after another one, over rotated routes.
    """
    for index, turn in enumerate(_TURNS):
        rotation = index % len(_ROUTES)
        routes = tuple(
            RoutePolicy(route_id, "", route_id, description, ())
            for route_id, description in (*_ROUTES[rotation:], *_ROUTES[:rotation])
        )
        policy_set = PolicySet(f"probe-{rotation}", "", routes, ())
        yield policy_set, Conversation.from_messages((Message(Role.USER, turn),))
        earlier = (Message(Role.USER, _TURNS[index - 1]), Message(Role.ASSISTANT, "Done."), Message(Role.USER, turn))
        yield policy_set, Conversation.from_messages(earlier)
