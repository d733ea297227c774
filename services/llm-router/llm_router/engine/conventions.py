"""Names of OpenTelemetry's GenAI conventions, which are still in development: they are written here and nowhere else.

Source: https://github.com/open-telemetry/semantic-conventions-genai
"""

from collections.abc import Mapping

from contracts.router import Chat, ProviderType
from llm_router.domain.engines import Answer

Value = str | int | float | list[str]

OPERATION = "chat"
ERROR_TYPE = "error.type"

_PROVIDERS: Mapping[ProviderType, str] = {"openai": "openai"}


def request_attributes(chat: Chat) -> dict[str, Value]:
    """What is known before an engine is chosen. Never the content: recording that would be opt-in."""
    optional = {
        "gen_ai.request.temperature": chat.temperature,
        "gen_ai.request.top_p": chat.top_p,
        "gen_ai.request.max_tokens": chat.max_tokens,
        "gen_ai.request.seed": chat.seed,
        "gen_ai.request.stop_sequences": chat.stop,
    }
    known: dict[str, Value] = {"gen_ai.operation.name": OPERATION, "gen_ai.request.model": chat.model}
    return known | {name: value for name, value in optional.items() if value is not None}


def engine_attributes(provider: ProviderType, engine: str) -> dict[str, Value]:
    return {"gen_ai.provider.name": _PROVIDERS.get(provider, provider), "llm_platform.engine": engine}


def answer_attributes(answer: Answer, model: str) -> dict[str, Value]:
    attributes: dict[str, Value] = {
        "gen_ai.response.id": answer.id,
        "gen_ai.response.model": model,
        "gen_ai.usage.input_tokens": answer.usage.prompt_tokens,
        "gen_ai.usage.output_tokens": answer.usage.completion_tokens,
    }
    if answer.finish_reason is not None:
        attributes["gen_ai.response.finish_reasons"] = [answer.finish_reason]
    return attributes
