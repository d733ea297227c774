"""Completions over the OpenAI-compatible routes."""

from typing import Any, Unpack

from llm_platform.core.answering import answer
from llm_platform.core.binding import Family, R, flow, operation
from llm_platform.core.effects import Flow, Steps
from llm_platform.core.requests import at, read
from llm_platform.schemas import answers, requests

_CHAT = "/v1/chat/completions"
_TEXT = "/v1/completions"
_RESPONSES = "/v1/responses"
_EMBEDDINGS = "/v1/embeddings"
_MODELS = "/v1/models"
_LAST = ("response.completed", "response.incomplete", "response.failed")


class Chat(Family[R]):
    """`client.chat`"""

    @operation
    def create(self, **fields: Unpack[requests.ChatRequest]) -> Steps[answers.ChatCompletion]:
        """Completes a chat."""
        return self._post(_CHAT, answers.ChatCompletion, fields, once=True)

    @flow
    def stream(self, **fields: Unpack[requests.ChatRequest]) -> Flow[answers.ChatCompletionChunk]:
        """Completes a chat, piece by piece. Raises `StreamBroken` if it breaks off: it cannot be taken up again."""
        return answer(
            _CHAT, _streamed(fields), self._runner.retries, lambda data: read(data, answers.ChatCompletionChunk)
        )

    @operation
    def complete(self, **fields: Unpack[requests.CompletionRequest]) -> Steps[answers.TextCompletion]:
        """Goes on with a text, without a chat template."""
        return self._post(_TEXT, answers.TextCompletion, fields, once=True)

    @flow
    def complete_stream(self, **fields: Unpack[requests.CompletionRequest]) -> Flow[answers.TextCompletion]:
        """As `complete`, piece by piece. Raises `StreamBroken`."""
        return answer(_TEXT, _streamed(fields), self._runner.retries, lambda data: read(data, answers.TextCompletion))

    @operation
    def respond(self, **fields: Unpack[requests.ResponsesRequest]) -> Steps[answers.ResponsesResponse]:
        """Creates a response, in OpenAI's newer form."""
        return self._post(_RESPONSES, answers.ResponsesResponse, fields, once=True)

    @flow
    def respond_stream(self, **fields: Unpack[requests.ResponsesRequest]) -> Flow[answers.ResponseEvent]:
        """As `respond`, told in events; the last is `response.completed` or `response.incomplete`."""
        return answer(
            _RESPONSES,
            _streamed(fields),
            self._runner.retries,
            lambda data: read(data, answers.ResponseEvent),
            lambda event: event.type in _LAST,
        )

    @operation
    def embed(self, **fields: Unpack[requests.EmbeddingsRequest]) -> Steps[answers.EmbeddingList]:
        """A vector for each text."""
        return self._post(_EMBEDDINGS, answers.EmbeddingList, fields)

    @operation
    def models(self) -> Steps[list[answers.OpenAiModel]]:
        """The models that this key may ask."""
        return (yield from self._get(_MODELS, answers.OpenAiModels)).data

    @operation
    def model(self, name: str) -> Steps[answers.OpenAiModel]:
        """One of them."""
        return self._get(at(_MODELS, name, slashes=True), answers.OpenAiModel)


def _streamed(fields: Any) -> dict[str, Any]:
    return {**fields, "stream": True}
