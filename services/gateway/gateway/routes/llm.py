"""Rows under `/api/v1/llm` (documents A and B): models, configuration and test."""

from typing import Literal

from contracts import router
from contracts.base import Message
from contracts.router import ServedModel, ServedModels
from gateway.routes.table import Quota, Route, Special, Tag, asks, view


class ModelsData(Message):
    models: list[ServedModel]


class ModelsEnvelope(Message):
    """Document A's envelope around the models."""

    status: Literal["success"] = "success"
    data: ModelsData


def _enveloped(served: ServedModels) -> ModelsEnvelope:
    return ModelsEnvelope(data=ModelsData(models=served.models))


LLM = (
    asks(
        "GET",
        "/api/v1/llm/models",
        router.LIST_SERVED_MODELS,
        tag=Tag.LLM,
        summary="List the models that can be asked",
        view=view(ModelsEnvelope, _enveloped),
    ),
    asks("GET", "/api/v1/llm/config", router.GET_CONFIG, tag=Tag.LLM, summary="Get the configuration"),
    asks(
        "POST",
        "/api/v1/llm/config",
        router.UPDATE_CONFIG,
        tag=Tag.LLM,
        summary="Change the configuration",
        description="Changes the given fields. The token is encrypted at rest and never returned.",
        role="admin",
        example={"provider_type": "openai", "api_base": "https://api.openai.com/v1", "model_name": "gpt-4o-mini"},
    ),
    Route(
        method="POST",
        path="/api/v1/llm/test",
        tag=Tag.LLM,
        summary="Test a prompt",
        description=(
            "Without `model_name` the configured model answers. With `Accept: text/event-stream` the answer comes as it"
            " is made: events `delta` with more `content`, then `result`; or `error`, when it breaks off."
        ),
        role="member",
        request=router.TestPrompt,
        response=router.TestResult,
        special=Special.TEST_PROMPT,
        quota=Quota.TEST,
        once=True,
        refusals=router.TEST_PROMPT.refusals,
        example={"prompt": "Summarise in one sentence:", "input": "The quick brown fox jumps over the lazy dog."},
    ),
)
