"""Rows about the engines behind the router, kept at run time, and about what is said of single models."""

from contracts import engines
from gateway.routes.table import Tag, asks

_KOBOLD = {"name": "kobold", "provider_type": "koboldai", "api_base": "http://10.0.0.5:5001", "concurrency": 1}
_SETTINGS = {"prices": {"input": "0.15", "output": "0.60"}, "fallbacks": ["simulated-small"]}

ENGINES = (
    asks("GET", "/api/v1/llm/engines", engines.LIST_ENGINES, tag=Tag.LLM, summary="List the engines"),
    asks(
        "POST",
        "/api/v1/llm/engines",
        engines.CREATE_ENGINE,
        tag=Tag.LLM,
        summary="Register an engine",
        description=(
            "It takes requests within moments, on every replica. The token is encrypted at rest and never returned."
        ),
        role="admin",
        status=201,
        example=_KOBOLD,
    ),
    asks("GET", "/api/v1/llm/engines/{engine_id}", engines.GET_ENGINE, tag=Tag.LLM, summary="Get an engine"),
    asks(
        "PUT",
        "/api/v1/llm/engines/{engine_id}",
        engines.UPDATE_ENGINE,
        tag=Tag.LLM,
        summary="Change, enable or disable an engine",
        description=(
            "Changes the given fields. A token that was stored for one host is not sent to another: give it again."
        ),
        role="admin",
        example={"enabled": False},
    ),
    asks(
        "DELETE",
        "/api/v1/llm/engines/{engine_id}",
        engines.DELETE_ENGINE,
        tag=Tag.LLM,
        summary="Remove an engine",
        description="What it is working on ends normally.",
        role="admin",
    ),
    asks(
        "GET",
        "/api/v1/llm/models/{model:.+}/settings",
        engines.GET_MODEL_SETTINGS,
        tag=Tag.LLM,
        summary="Get a model's settings",
    ),
    asks(
        "PUT",
        "/api/v1/llm/models/{model:.+}/settings",
        engines.PUT_MODEL_SETTINGS,
        tag=Tag.LLM,
        summary="Set a model's prices and fallbacks, enable or disable it",
        description="What is not given goes back to what is usual. A model may be set up before any engine serves it.",
        role="admin",
        example=_SETTINGS,
    ),
)
