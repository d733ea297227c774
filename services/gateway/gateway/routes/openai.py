"""Rows under `/v1`: OpenAI's API, for its own clients and everything that speaks it."""

from contracts import router
from contracts.base import RefusalCode
from gateway.domain.chat import ChatCompletion, ChatRequest, NamedModel, OpenAiModel, OpenAiModels, model_list
from gateway.domain.embeddings import EmbeddingList, EmbeddingsRequest
from gateway.domain.responses import Response, ResponsesRequest
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
        once=True,
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
        once=True,
        refusals=router.TEXT_COMPLETE.refusals,
        example={"model": "simulated-small", "prompt": "To serialize a list to JSON,", "max_tokens": 32},
    ),
    Route(
        method="POST",
        path="/v1/responses",
        tag=Tag.CHAT,
        summary="Create a response",
        description=(
            "OpenAI's newer API for the same engines: text, images, functions and structured output. Nothing is kept:"
            " a conversation is sent whole each time, and `store: true`, `previous_response_id`, `conversation` and"
            " `background` are refused as `unsupported_parameter`. With `stream` the answer is `text/event-stream`:"
            " typed events, of which the last is `response.completed` or `response.incomplete`; one that fails half-way"
            " ends with `response.failed` and `error`."
        ),
        role="member",
        request=ResponsesRequest,
        response=Response,
        special=Special.RESPONSES,
        once=True,
        refusals=router.CHAT_COMPLETE.refusals,
        example={
            "model": "simulated-small",
            "instructions": "Answer in one sentence.",
            "input": "What does json.dumps do?",
            "max_output_tokens": 64,
        },
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
