"""Policy files: strict YAML to a policy set, or to findings that say where and how to correct it.

Nothing is guessed. An unknown key, a value of another type, a word that YAML reads differently than it looks: each is
an error with line, column and the field path its author would write.
"""

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field

from archrouter.domain.findings import Finding, quoted
from archrouter.domain.policy import PolicySet, RoutePolicy, ThresholdPromise, check_policy_set, derive_route_id
from archrouter.policy_files.models import Declaration, ModelCatalogue, Names
from archrouter.strict_yaml.document import Number, Reading, Table, Text, YamlDocument, read_document
from archrouter.strict_yaml.values import Place, UnreadableError

_BEGIN = "'policy_set:' and a name"
_RECALIBRATE = "run archrouter calibrate --write, which writes it"


def _as_word(text: str) -> str:
    if not text.strip():
        msg = "is empty; write a word"
        raise UnreadableError(msg)
    return text


_Word = Annotated[Text, AfterValidator(_as_word)]


class _Policy(Table):
    """What all policies have; bases are listed from last to first, so that the key that names a policy comes first."""

    id: Text = ""
    description: Annotated[Text, Field(description="say when this route is meant")] = ""
    models: Annotated[Names, Field(description="list the models to use, best first")] = ()
    min_confidence: Number | None = None
    examples: Names = ()
    not_examples: Names = ()

    def needed(self) -> Iterable[str]:
        """Let examples stand for a description."""
        return [key for key in super().needed() if key != "description" or not self.mentions("examples")]


class _OfAction(Table):
    action: Annotated[_Word, Field(description="name the operation asked for, e.g. bug_fixing")] = ""


class _Action(_Policy, _OfAction):
    pass


class _OfDomain(Table):
    domain: Annotated[_Word, Field(description="name the subject area, e.g. programming")] = ""


class _Domain(_Policy, _OfDomain):
    """A domain, which is a policy of its own where it says more than its name and its actions."""

    actions: tuple[_Action, ...] = ()

    @property
    def is_policy(self) -> bool:
        return self.mentions(*_Policy.model_fields)

    def needed(self) -> Iterable[str]:
        return super().needed() if self.is_policy else ("domain",)


class _Route(_Policy):
    id: Annotated[Text, Field(description="write what the model answers to choose this route")] = ""
    domain: _Word = ""
    action: _Word = ""


class _Calibration(Table):
    """What ``archrouter calibrate --write`` leaves; nobody writes it by hand."""

    max_error: Annotated[Number, Field(description=_RECALIBRATE)] = 0.5
    level: Annotated[Number, Field(description=_RECALIBRATE)] = 0.5
    cases: Annotated[Number, Field(description=_RECALIBRATE)] = 1.0
    model_version: Annotated[Text, Field(description=_RECALIBRATE)] = ""
    revision: Annotated[Text, Field(description=_RECALIBRATE)] = ""


class _PolicyFile(Table):
    policy_set: Annotated[Text, Field(description="name the set with 1-64 of the characters a-z, 0-9 and '-'")] = ""
    description: Text = ""
    min_confidence: Number | None = None
    fallback: Annotated[Names, Field(description="list at least one model for requests that no policy matches")] = ()
    models: dict[str, Declaration] = Field(
        {}, description="declare every model a route may name, as in coder: {model: provider/model}"
    )
    domains: tuple[_Domain, ...] = ()
    routes: tuple[_Route, ...] = ()
    calibration: _Calibration | None = None


def load_policy_set(text: str) -> tuple[PolicySet | None, tuple[Finding, ...]]:
    """Read the text of a policy file: the set, None when a finding is an error, and the findings in order."""
    document = read_policy_document(text)
    return document.content, document.findings


def read_policy_document(text: str) -> YamlDocument[PolicySet]:
    """Read the text of a policy file; the document's places also locate what other checks find in the set."""
    return read_document(text, _PolicyFile, _build, check_policy_set, _BEGIN)


def _build(file: _PolicyFile, reading: Reading) -> PolicySet:
    models = ModelCatalogue(file.models if file.at("models") else None, reading)
    for key in ("policy_set", "description", "min_confidence"):
        reading.put(key, file.at(key))
    policy_set = PolicySet(
        id=file.policy_set,
        description=file.description.strip(),
        routes=_Routes(models, reading).of(file),
        fallback_models=models.targets(file.fallback, file.at("fallback"), "fallback"),
        min_confidence=file.min_confidence,
        promise=_promise(file.calibration, reading) if file.calibration else None,
    )
    if reading.is_clean:
        models.report_unused()
    return policy_set


def _promise(table: _Calibration, reading: Reading) -> ThresholdPromise:
    keys = {"max_error": "max_error", "level": "level", "cases": "case_count", "revision": "revision"}
    for key, name in keys.items():
        reading.put(f"promise.{name}", table.at(key))
    reading.put("promise", table.place)
    cases = table.at("cases")
    if cases and not table.cases.is_integer():
        reading.report(cases, f"{table.cases} is no count; {_RECALIBRATE}")
    return ThresholdPromise(table.max_error, table.level, int(table.cases), table.model_version, table.revision)


class _Routes:
    """Builds the policies in the order of the file; a domain-level policy comes before the actions of its domain."""

    def __init__(self, models: ModelCatalogue, reading: Reading) -> None:
        self._models = models
        self._reading = reading
        self._domains: dict[str, Place] = {}
        self._routes: list[RoutePolicy] = []

    def of(self, file: _PolicyFile) -> tuple[RoutePolicy, ...]:
        domains, routes = file.at("domains"), file.at("routes")
        if domains and routes:
            self._reading.report(routes.of_key(), "stands beside 'domains'; keep one of the two forms")
        elif not file.mentions("domains", "routes"):
            self._reading.report(file.place, "has neither 'domains' nor 'routes'; list the policies under one of them")
        for domain in file.domains:
            self._add_domain(domain)
        for route in () if domains else file.routes:
            self._add(route, route.domain, route.action, {key: route.at(key) for key in ("domain", "action")})
        is_readable = bool(self._routes or not (file.domains or file.routes))
        self._reading.put("routes", (domains or routes) if is_readable else None)
        return tuple(self._routes)

    def _add_domain(self, table: _Domain) -> None:
        domain = table.at("domain")
        if domain:
            first = self._domains.setdefault(table.domain, domain)
            if first is not domain:
                message = f"{quoted(table.domain)} is already a domain in line {first.line}; list its actions there"
                self._reading.report(domain, message)
        if table.is_policy:
            self._add(table, table.domain, "", {"domain": domain, "id": domain})
        elif not table.mentions("actions"):
            self._reading.report(table.place, "has neither actions nor a description with models; add one of the two")
        actions = table.at("actions")
        if actions and not table.actions:
            self._reading.report(actions, "is empty; list the domain's actions, or remove the key")
        for action in table.actions:
            own = action.at("action")
            places = {"domain": domain, "action": own, "id": own if domain else None}
            self._add(action, table.domain, action.action, places)

    def _add(self, table: _Policy, domain: str, action: str, places: dict[str, Place | None]) -> None:
        """Add a policy; its id is derived from its names where it has none of its own."""
        path = f"routes[{len(self._routes)}]"
        has_id = table.mentions("id") or isinstance(table, _Route)
        own = ("description", "min_confidence", "id") if has_id else ("description", "min_confidence")
        self._reading.put(path, table.place)
        for key, place in (places | {key: table.at(key) for key in own}).items():
            self._reading.put(f"{path}.{key}", place)
        for key in ("examples", "not_examples"):
            self._reading.put(f"{path}.{key}", table.at(key))
            for index, text in enumerate(getattr(table, key)):
                self._reading.put(f"{path}.{key}[{index}]", text.place)
        self._routes.append(
            RoutePolicy(
                id=table.id if has_id else derive_route_id(domain, action),
                domain=domain,
                action=action,
                description=table.description.strip(),
                models=self._models.targets(table.models, table.at("models"), f"{path}.models"),
                min_confidence=table.min_confidence,
                examples=tuple(text.word.strip() for text in table.examples),
                not_examples=tuple(text.word.strip() for text in table.not_examples),
            )
        )
