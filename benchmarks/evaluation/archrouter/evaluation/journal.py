"""The journal of a run: every decision as it comes, so that a run that was interrupted goes on where it stopped.

JSON Lines. The first line says which model decides; each other line is a decision, under a digest of all that was
asked. A journal therefore serves any run over any part of a dataset: what it knows is not asked again, and what has
changed in the dataset since is. Calls that failed are not written, so they are tried again.
"""

import fcntl
import hashlib
import json
from io import FileIO
from pathlib import Path
from typing import Self

from archrouter.domain.policy import PolicySet
from archrouter.evaluation.dataset import Label, LabelledConversation
from archrouter.evaluation.prediction import Prediction
from archrouter.strict_json import Fields, InvalidDataError, parse_object

_FORMAT = "archrouter-eval-journal-1"


class JournalError(Exception):
    """The journal cannot be used; the text starts with ``file:`` or ``file:line:``."""


def question_digest(conversation: LabelledConversation, label: Label, policy_set: PolicySet) -> str:
    """Name a question by everything that the answer depends on besides the model.

    Args:
        conversation: The conversation.
        label: The labelled turn; its right route is no part of the question.
        policy_set: The policy set the conversation is routed by.

    Returns:
        ``sha256:<64 hex digits>``.
    """
    messages = [[message.role.value, message.content] for message in conversation.prefix(label)]
    question = [conversation.id, label.turn, policy_set.revision, messages]
    return "sha256:" + hashlib.sha256(json.dumps(question, separators=(",", ":")).encode()).hexdigest()


class Journal:
    """An open journal file. Use it as a context manager; nobody else can open it meanwhile."""

    def __init__(self, path: Path, model: str) -> None:
        """Open a journal, or begin one. A last line without its end, from a run that was killed, is cut off.

        Args:
            path: The file; it need not exist.
            model: What decides; a journal holds the decisions of one model only.

        Raises:
            JournalError: When the file is in use, is no journal, or is that of another model.
        """
        self._path = path
        self._file = _open_locked(path)
        try:
            self._answers = self._load(model)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        """Return the journal itself."""
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """Close the file."""
        self._file.close()

    def answer(self, question: str) -> Prediction | None:
        """Look up the decision on a question by its digest; None when it was not answered before."""
        return self._answers.get(question)

    def record(self, question: str, conversation_id: str, turn: int, prediction: Prediction) -> None:
        """Write a decision down, with conversation and turn for people who read the file.

        It outlives the end of this process, however sudden.
        """
        self._answers[question] = prediction
        self._append(
            {
                "id": conversation_id,
                "turn": turn,
                "route": prediction.route,
                "confidence": prediction.confidence,
                "duration_s": prediction.duration_s,
                "question": question,
            }
        )

    def _append(self, record: dict[str, object]) -> None:
        """Write one line in one call, past any buffer of this process."""
        self._file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")

    def _load(self, model: str) -> dict[str, Prediction]:
        complete, end, torn = self._file.read().rpartition(b"\n")
        if torn:
            self._file.truncate(len(complete) + len(end))
        lines = complete.split(b"\n") if complete else []
        if not lines:
            self._append({"journal": _FORMAT, "model": model})
            return {}
        answers = {}
        for number, line in enumerate(lines, start=1):
            try:
                fields = parse_object(line.decode())
                if number == 1:
                    _check_header(fields, model)
                else:
                    answers[fields.text("question")] = _prediction(fields)
            except (InvalidDataError, UnicodeDecodeError) as error:
                msg = f"{self._path}:{number}: {error}; name another file to begin a new journal"
                raise JournalError(msg) from error
        return answers


def _open_locked(path: Path) -> FileIO:
    try:
        file = path.open("a+b", buffering=0)
    except OSError as error:
        msg = f"{path}: cannot be opened: {error.strerror}"
        raise JournalError(msg) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        msg = f"{path}: another run is writing this journal; wait for it, or name another file"
        raise JournalError(msg) from error
    file.seek(0)
    return file


def _check_header(fields: Fields, model: str) -> None:
    fields.choice("journal", [_FORMAT])
    if fields.text("model") != model:
        raise InvalidDataError(path="model", problem=f"is {fields.text('model')}, but {model} decides now")


def _prediction(fields: Fields) -> Prediction:
    prediction = Prediction(fields.text("route"), fields.number("confidence"), fields.number("duration_s"))
    if not 0.0 <= prediction.confidence <= 1.0:
        raise InvalidDataError(path="confidence", problem=f"{prediction.confidence} is outside [0, 1]")
    if prediction.duration_s <= 0.0:
        raise InvalidDataError(path="duration_s", problem=f"{prediction.duration_s} is not above 0")
    return prediction
