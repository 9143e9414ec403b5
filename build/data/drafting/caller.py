"""Asking a question: from the journal when it was answered before, otherwise once, recorded, and checked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from archrouter.workbench.chat_completions import AnswerFault, AnswerT, UnusableAnswerError, read_answer, read_content
from data.drafting.chat_request import ChatRequest
from data.drafting.errors import RejectedError, Rejection, StopError
from data.drafting.journal import Entry, Journal
from data.drafting.ledger import Ledger
from data.drafting.prompts import Prompt, PromptLibrary
from data.drafting.sender import Sender
from data.drafting.settings import Role, Settings
from data.drafting.stop import StopSignal


@dataclass(frozen=True, slots=True)
class Question(Generic[AnswerT]):
    """What to ask.

    Attributes:
        role: Whom.
        item: What it is about; two questions of one role never share it.
        prompt: The words.
        answer_type: What a usable answer is.
        broken_rule: Says which rule of this question an answer of that type breaks; empty for none.
    """

    role: Role
    item: str
    prompt: Prompt
    answer_type: type[AnswerT]
    broken_rule: Callable[[AnswerT], str]


@dataclass(frozen=True, slots=True)
class Answer(Generic[AnswerT]):
    """A usable answer.

    Attributes:
        value: The answer.
        digest: Of the request it came from; its entry in the journal.
    """

    value: AnswerT
    digest: str


class Caller:
    """Asks questions; the only way to spend money."""

    def __init__(
        self,
        settings: Settings,
        prompts: PromptLibrary,
        journal: Journal,
        ledger: Ledger,
        sender: Sender,
        stop: StopSignal,
    ) -> None:
        """Ask nothing yet."""
        self._settings = settings
        self._prompts = prompts
        self._journal = journal
        self._ledger = ledger
        self._sender = sender
        self._stop = stop

    async def ask(self, question: Question[AnswerT]) -> Answer[AnswerT]:
        """Ask until an answer is usable.

        Raises:
            RejectedError: When no attempt gave one, or the endpoint refuses the question.
            UnansweredError: When the endpoint kept failing on it.
            StopError: When it is not answered yet and nothing more may be asked.
        """
        problem = ""
        for attempt in range(1, self._settings.attempts.answer + 1):
            request = self._request(question, attempt, problem)
            body = await self._answered(request)
            try:
                value = _usable(question, body)
            except UnusableAnswerError as error:
                self._ledger.accounts[question.role].unusable[error.fault] += 1
                problem = str(error)
            else:
                return Answer(value, request.digest)
        msg = f"{question.role}, {question.item}: no usable answer in {self._settings.attempts.answer}; last: {problem}"
        raise RejectedError(Rejection.ANSWER_UNUSABLE, msg)

    def _request(self, question: Question[AnswerT], attempt: int, problem: str) -> ChatRequest:
        # What was wrong goes into the same user message: several chat templates want the roles to alternate.
        correction = self._prompts.correction(problem) if problem else ""
        return ChatRequest(
            role=question.role,
            item=question.item,
            attempt=attempt,
            settings=self._settings.roles.of(question.role),
            system=f"{question.prompt.system}\n\n{self._prompts.answer_format(question.answer_type)}",
            user=f"{question.prompt.user}\n\n{correction}" if correction else question.prompt.user,
            answer_name=question.answer_type.__name__,
            answer_schema=question.answer_type.model_json_schema(),
        )

    async def _answered(self, request: ChatRequest) -> str:
        digest = request.digest
        entry = self._journal.get(digest)
        if entry is not None:
            self._ledger.used(request.role, entry.body, replayed=True)
            return entry.body
        self._stop.raise_if_set()
        try:
            return await self._buy(request, digest)
        except StopError as error:
            self._stop.set(error)
            raise

    async def _buy(self, request: ChatRequest, digest: str) -> str:
        self._ledger.reserve()
        try:
            body = await self._sender.send(request)
            # Nothing may be awaited between the answer and its record: a cancellation would lose what was paid for.
            model = request.settings.model
            self._journal.append(Entry(digest, request.role, request.item, request.attempt, model, body))
        finally:
            self._ledger.release()
        self._ledger.bought(request.role, body)
        return body


def _usable(question: Question[AnswerT], body: str) -> AnswerT:
    value = read_answer(read_content(body), question.answer_type)
    problem = question.broken_rule(value)
    if problem:
        raise UnusableAnswerError(AnswerFault.BROKEN_RULE, problem)
    return value
