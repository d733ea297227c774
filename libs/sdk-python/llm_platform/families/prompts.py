"""Prompts: templates with named variables, in versions (documents A and B)."""

from typing import Unpack

from llm_platform.core.answering import answer
from llm_platform.core.binding import Family, R, flow, operation
from llm_platform.core.effects import Flow, Steps
from llm_platform.core.requests import at, read
from llm_platform.schemas import answers, requests

_BASE = "/api/v1/llm/prompts"
_TEST = "/api/v1/llm/test"


class Prompts(Family[R]):
    """`client.prompts`"""

    @operation
    def list(self) -> Steps[list[answers.Prompt]]:
        """All prompts."""
        return (yield from self._get(_BASE, answers.PromptsEnvelope)).data.prompts

    @operation
    def create(self, **fields: Unpack[requests.CreatePrompt]) -> Steps[answers.Prompt]:
        """Makes a prompt. `{name}` in its content is a variable, `{{` a brace."""
        return (yield from self._post(_BASE, answers.PromptEnvelope, fields)).data.prompt

    @operation
    def get(self, prompt_id: int) -> Steps[answers.Prompt]:
        """One prompt, in its newest version."""
        return (yield from self._get(at(_BASE, prompt_id), answers.PromptEnvelope)).data.prompt

    @operation
    def update(self, prompt_id: int, **fields: Unpack[requests.UpdatePrompt]) -> Steps[answers.Prompt]:
        """Changes the given fields; another content is the next version."""
        return (yield from self._put(at(_BASE, prompt_id), answers.PromptEnvelope, fields)).data.prompt

    @operation
    def delete(self, prompt_id: int) -> Steps[answers.Succeeded]:
        """Deletes a prompt that no action uses."""
        return self._delete(at(_BASE, prompt_id), answers.Succeeded)

    @flow
    def versions(self, prompt_id: int, *, limit: int | None = None) -> Flow[answers.PromptVersion]:
        """Its versions, newest first."""
        return self._pages(at(_BASE, prompt_id, "versions"), answers.PromptVersionPage, lambda page: page.items, limit)

    @operation
    def test(self, **fields: Unpack[requests.TestPrompt]) -> Steps[answers.TestResult]:
        """Tries a prompt on an input, without keeping either."""
        return self._post(_TEST, answers.TestResult, fields, once=True)

    @flow
    def test_stream(self, **fields: Unpack[requests.TestPrompt]) -> Flow[answers.TrialDelta | answers.TrialResult]:
        """As `test`, told as it is written: pieces, and the whole at last."""
        return answer(_TEST, fields, self._runner.retries, _told, lambda told: isinstance(told, answers.TrialResult))


def _told(data: str) -> answers.TrialDelta | answers.TrialResult:
    return read(data, answers.TrialResult | answers.TrialDelta)
