"""Names of OpenTelemetry's GenAI conventions, which are still in development: they are written here and nowhere else.

Source: https://github.com/open-telemetry/semantic-conventions-genai
"""

from collections.abc import Mapping

from contracts.router import Chat, Embed, ProviderType, TextCompletion
from llm_router.domain.engines import Answer, Asked

Value = str | int | float | list[str]

ERROR_TYPE = "error.type"

_PROVIDERS: Mapping[ProviderType, str] = {"openai": "openai"}


def operation(asked: Asked) -> str:
    match asked:
        case Chat():
            return "chat"
        case TextCompletion():
            return "text_completion"
        case Embed():
            return "embeddings"


def request_attributes(asked: Asked) -> dict[str, Value]:
    """What is known before an engine is chosen. Never the content: recording that would be opt-in."""
    known: dict[str, Value] = {"gen_ai.operation.name": operation(asked), "gen_ai.request.model": asked.model}
    if isinstance(asked, Embed):
        return known
    optional = {
        "gen_ai.request.temperature": asked.temperature,
        "gen_ai.request.top_p": asked.top_p,
        "gen_ai.request.max_tokens": asked.max_tokens,
        "gen_ai.request.seed": asked.seed,
        "gen_ai.request.choice.count": asked.n,
        "gen_ai.request.stop_sequences": asked.stop,
    }
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
