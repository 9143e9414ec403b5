"""The data: a benchmark folder in the format that ``archrouter eval`` reads, and where every record comes from."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archrouter.domain.policy import PolicySet
from archrouter.evaluation.dataset import Granularity
from data.drafting.dialogues import DialogueOrder, LabelledDialogue
from data.drafting.settings import OutputSettings, Role, RolesSettings
from data.folders import replaced_file
from data.record_files import POLICIES_FOLDER, policy_set_json

SOURCE = "generated"
_CONVERSATION_PROMPTS = ("write_intents", "write_uncovered_intents", "write_dialogue", "label_dialogue")
_CONVERSATION_ROLES = (Role.INTENT_WRITER, Role.DIALOGUE_WRITER, Role.LABELLER)


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made the records of a run.

    Attributes:
        output: Names.
        roles: Models.
        prompts: Version and digest of each prompt.
    """

    output: OutputSettings
    roles: RolesSettings
    prompts: Mapping[str, str]

    def record(self, order: DialogueOrder, dialogue: LabelledDialogue) -> dict[str, object]:
        """Write one line of the data, in the order of the format's description; ``provenance`` is ours."""
        route = order.policy_set.route(order.target)
        granularity = Granularity.COARSE if route is not None and route.covers_domain else Granularity.FINE
        return {
            "id": f"{self.output.setting}/{order.item}",
            "setting": self.output.setting,
            "source": SOURCE,
            "license": self.output.license,
            "origin": dialogue.dialogue_digest,
            "granularity": granularity.value,
            "policy_set": order.policy_set.id,
            "messages": [{"role": message.role.value, "content": message.content} for message in dialogue.messages],
            "labels": [{"turn": label.turn, "route": label.route} for label in dialogue.labels],
            "provenance": {
                "intent": order.intent,
                "style": order.style.id,
                "attempt": dialogue.attempt,
                "models": {role.value: self.roles.of(role).model for role in _CONVERSATION_ROLES},
                "prompts": {name: self.prompts[name] for name in _CONVERSATION_PROMPTS},
                "journal": [order.intent_digest, dialogue.dialogue_digest, dialogue.reading_digest],
            },
        }


def write_records(
    directory: Path, setting: str, records: Iterable[Mapping[str, object]], policy_sets: Sequence[PolicySet]
) -> None:
    """Write the data; each file is replaced as a whole or not at all."""
    for policy_set in policy_sets:
        with replaced_file(directory / POLICIES_FOLDER / f"{policy_set.id}.json") as file:
            file.write(policy_set_json(policy_set.id, policy_set.routes))
    with replaced_file(directory / f"{setting}.jsonl") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
