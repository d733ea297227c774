"""Rows under `/v1`: OpenAI's API, for its own clients and everything that speaks it."""

from contracts import router
from contracts.base import RefusalCode
from gateway.domain.chat import ChatCompletion, ChatRequest, NamedModel, OpenAiModel, OpenAiModels, model_list
from gateway.domain.embeddings import EmbeddingList, EmbeddingsRequest
from gateway.domain.text import Completion, CompletionRequest
from gateway.routes.table import Route, Special, Tag, asks, view

OPENAI = (
    Route(
        method="POST",
        path="/v1/chat/completions",
        tag=Tag.CHAT,
        summary="Complete a chat",
        description=(
            "With `stream` the answer is `text/event-stream`: `chat.completion.chunk` objects, then `[DONE]`. A stream"
            " that fails half-way sends an `error` object and no `[DONE]`."
        ),
        role="member",
        request=ChatRequest,
        response=ChatCompletion,
        special=Special.CHAT,
        refusals=router.CHAT_COMPLETE.refusals,
        example={
            "model": "simulated-small",
            "messages": [{"role": "user", "content": "What does json.dumps do?"}],
            "max_tokens": 64,
        },
    ),
    Route(
        method="POST",
        path="/v1/completions",
        tag=Tag.CHAT,
        summary="Go on with a text",
        description=(
            "OpenAI's older API: the prompt is continued as it stands, without a chat template. With `stream` the"
            " answer is `text/event-stream`."
        ),
        role="member",
        request=CompletionRequest,
        response=Completion,
        special=Special.TEXT,
        refusals=router.TEXT_COMPLETE.refusals,
        example={"model": "simulated-small", "prompt": "To serialize a list to JSON,", "max_tokens": 32},
    ),
    Route(
        method="POST",
        path="/v1/embeddings",
        tag=Tag.CHAT,
        summary="Embed texts",
        description="A vector for each text. A local model's is the mean of its last hidden states, of length one.",
        role="member",
        request=EmbeddingsRequest,
        response=EmbeddingList,
        special=Special.EMBEDDINGS,
        refusals=router.EMBED.refusals,
        example={"model": "simulated-small", "input": ["a sentence", "another one"]},
    ),
    asks(
        "GET",
        "/v1/models",
        router.LIST_SERVED_MODELS,
        tag=Tag.CHAT,
        summary="List models",
        view=view(OpenAiModels, model_list),
    ),
    Route(
        method="GET",
        path="/v1/models/{model:.+}",
        tag=Tag.CHAT,
        summary="Get a model",
        role="viewer",
        request=NamedModel,
        response=OpenAiModel,
        special=Special.SERVED_MODEL,
        refusals=(RefusalCode.NOT_FOUND,),
    ),
)
