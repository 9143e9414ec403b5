"""The benchmark folder: labelled conversations, and the policy sets they are routed by.

A folder holds one ``<setting>.jsonl`` for each setting and ``policies/<policy_set>.json``. The reader is strict about
every field that counts and names the file and the line of what is wrong; fields it does not need may be there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from archrouter.domain.conversation import Message, Role
from archrouter.domain.findings import Severity
from archrouter.domain.policy import NO_MATCH_ID, ModelTarget, PolicySet, RoutePolicy, check_policy_set
from archrouter.strict_json import Fields, InvalidDataError, parse_object

PLACEHOLDER_MODEL = ModelTarget("placeholder")
"""Model of every route and fallback: a benchmark asks for routes, while a policy set cannot be without models."""

_POLICY_SET_ID = "inline"  # the benchmark's names are no valid ids of policy sets, and nothing reads the id


class DatasetError(Exception):
    """The benchmark folder cannot be used; the text starts with ``file:`` or ``file:line:``."""


class Granularity(Enum):
    """What the right answers of a conversation are: actions, or whole domains."""

    FINE = "fine"
    COARSE = "coarse"


@dataclass(frozen=True, slots=True)
class Label:
    """The right answer at one user message.

    Attributes:
        turn: 0-based index of the user message among all messages.
        route: Id of the right route, or ``other``.
    """

    turn: int
    route: str


@dataclass(frozen=True, slots=True)
class LabelledConversation:
    """A conversation and its right answers.

    Attributes:
        id: Unique in the dataset.
        setting: The test it belongs to.
        source: Where it comes from; the setting, where the file does not say.
        granularity: What its right answers are.
        policy_set: Name of the policy set it is routed by.
        messages: Oldest first.
        labels: At least one, in the order of the turns.
    """

    id: str
    setting: str
    source: str
    granularity: Granularity
    policy_set: str
    messages: tuple[Message, ...]
    labels: tuple[Label, ...]

    def prefix(self, label: Label) -> tuple[Message, ...]:
        """Cut the conversation after a labelled message: what comes later must not be shown to the router."""
        return self.messages[: label.turn + 1]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A benchmark.

    Attributes:
        conversations: In the order of the files' names, then of their lines.
        policy_sets: Valid policy sets by their name in the benchmark.
    """

    conversations: tuple[LabelledConversation, ...]
    policy_sets: Mapping[str, PolicySet]

    @property
    def turn_count(self) -> int:
        """How many turns are labelled."""
        return sum(len(conversation.labels) for conversation in self.conversations)

    def limited(self, conversations_per_setting: int) -> "Dataset":
        """Keep the first conversations, >= 1, of each setting, for a quick look."""
        kept: dict[str, list[LabelledConversation]] = {}
        for conversation in self.conversations:
            setting = kept.setdefault(conversation.setting, [])
            if len(setting) < conversations_per_setting:
                setting.append(conversation)
        return Dataset(tuple(c for setting in kept.values() for c in setting), self.policy_sets)


def read_dataset(directory: Path, settings: frozenset[str] = frozenset()) -> Dataset:
    """Read a benchmark folder.

    Args:
        directory: The folder.
        settings: Settings to read; empty reads all.

    Returns:
        The dataset; it has at least one conversation.

    Raises:
        DatasetError: For the first thing that is wrong.
    """
    files = {path.stem: path for path in sorted(directory.glob("*.jsonl"))}
    if not files:
        msg = f"{directory}: no *.jsonl file; name the folder that holds the benchmark"
        raise DatasetError(msg)
    unknown = sorted(settings - files.keys())
    if unknown:
        msg = f"{directory}: no setting {', '.join(unknown)}; there are {', '.join(files)}"
        raise DatasetError(msg)
    policy_sets = _PolicySets(directory / "policies")
    seen: dict[str, str] = {}
    conversations = tuple(
        conversation
        for setting, path in files.items()
        if not settings or setting in settings
        for conversation in _read_setting(path, policy_sets, seen)
    )
    if not conversations:
        msg = f"{directory}: the files hold no conversation"
        raise DatasetError(msg)
    return Dataset(conversations, policy_sets.loaded)


def read_policy_sets(directory: Path) -> dict[str, PolicySet]:
    """Read every policy set of a benchmark folder, whether a conversation names it or not.

    Args:
        directory: The folder.

    Returns:
        Valid policy sets by name, in the order of the names.

    Raises:
        DatasetError: For the first thing that is wrong.
    """
    policy_sets = _PolicySets(directory / "policies")
    return {path.stem: policy_sets.get(path.stem) for path in sorted((directory / "policies").glob("*.json"))}


def _read_setting(path: Path, policy_sets: "_PolicySets", seen: dict[str, str]) -> Iterator[LabelledConversation]:
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            conversation = _conversation(parse_object(line), path.stem)
            _check_labels(conversation, policy_sets.get(conversation.policy_set))
        except InvalidDataError as error:
            msg = f"{place}: {error}"
            raise DatasetError(msg) from error
        if conversation.id in seen:
            msg = f"{place}: id {conversation.id!r} is already that of {seen[conversation.id]}; ids are unique"
            raise DatasetError(msg)
        seen[conversation.id] = place
        yield conversation


def _conversation(fields: Fields, setting: str) -> LabelledConversation:
    if fields.text("setting") != setting:
        raise InvalidDataError(
            path="setting", problem=f"is {fields.text('setting')!r}, but the file's name says {setting!r}"
        )
    conversation = LabelledConversation(
        id=fields.text("id"),
        setting=setting,
        source=fields.text("source") if "source" in fields.values else setting,
        granularity=Granularity(fields.choice("granularity", [granularity.value for granularity in Granularity])),
        policy_set=fields.text("policy_set"),
        messages=tuple(
            Message(Role(message.choice("role", [Role.USER.value, Role.ASSISTANT.value])), message.text("content"))
            for message in fields.objects("messages")
        ),
        labels=tuple(Label(label.integer("turn"), label.text("route")) for label in fields.objects("labels")),
    )
    if not conversation.labels:
        raise InvalidDataError(path="labels", problem="is empty; a conversation without labels tests nothing")
    return conversation


def _check_labels(conversation: LabelledConversation, policy_set: PolicySet) -> None:
    previous = -1
    for index, label in enumerate(conversation.labels):
        path = f"labels[{index}]"
        if not 0 <= label.turn < len(conversation.messages):
            raise InvalidDataError(
                path=f"{path}.turn", problem=f"{label.turn} is none of the {len(conversation.messages)} messages"
            )
        if label.turn <= previous:
            raise InvalidDataError(
                path=f"{path}.turn", problem=f"{label.turn} does not come after {previous}; labels are in order"
            )
        if conversation.messages[label.turn].role is not Role.USER:
            raise InvalidDataError(
                path=f"{path}.turn", problem=f"message {label.turn} is not from the user; only those are routed"
            )
        if label.route != NO_MATCH_ID and policy_set.route(label.route) is None:
            text = f"{label.route!r} is neither {NO_MATCH_ID!r} nor a route of {conversation.policy_set}"
            raise InvalidDataError(path=f"{path}.route", problem=text)
        previous = label.turn


class _PolicySets:
    """Reads each policy set once, when the first conversation names it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.loaded: dict[str, PolicySet] = {}

    def get(self, name: str) -> PolicySet:
        """Return the policy set of that name."""
        if name not in self.loaded:
            path = self._directory / f"{name}.json"
            if Path(name).name != name or not path.is_file():
                raise InvalidDataError(
                    path="policy_set", problem=f"{name!r} has no file {self._directory.name}/{name}.json"
                )
            try:
                self.loaded[name] = _policy_set(parse_object(_read_text(path)), name)
            except InvalidDataError as error:
                msg = f"{path}: {error}"
                raise DatasetError(msg) from error
        return self.loaded[name]


def _policy_set(fields: Fields, name: str) -> PolicySet:
    if fields.text("policy_set") != name:
        raise InvalidDataError(
            path="policy_set", problem=f"is {fields.text('policy_set')!r}, but the file's name says {name!r}"
        )
    routes = tuple(
        RoutePolicy(
            id=route.text("name"),
            domain=route.text("domain"),
            action=route.optional_text("action"),
            description=route.text("description"),
            models=(PLACEHOLDER_MODEL,),
        )
        for route in fields.objects("routes")
    )
    policy_set = PolicySet(_POLICY_SET_ID, name, routes, (PLACEHOLDER_MODEL,))
    for finding in check_policy_set(policy_set):
        if finding.severity is Severity.ERROR:
            raise InvalidDataError(path=finding.field_path, problem=finding.message)
    return policy_set


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read as UTF-8 text: {error}"
        raise DatasetError(msg) from error
