"""vLLM: OpenAI's API, and what is its own: how it refuses an adapter, and which template a chat is rendered with."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contracts.router import Chat
from llm_router.domain.engines import EngineSpec, Question
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.engine.openai import OpenAIEngine
from llm_router.engine.protocol import Timeouts

_TEMPLATE = "chat_template"
_REFUSED = re.compile(
    r"Call to add_lora method failed: (?:Worker failed with error ')?(?P<why>.+?)(?:', please check the stack .*)?$",
    re.DOTALL,
)
"""vLLM answers 500 for an adapter that it will never load, such as one of DoRA, and for its own troubles alike."""


class VllmEngine(OpenAIEngine):
    """`template_of` knows the chat template that a trained model was trained with, or None.

    vLLM renders every chat with the template of its base model, an adapter's too, unless the request brings another,
    which takes its option `--trust-request-chat-template`. That trust is in the platform, not in callers.
    """

    def __init__(self, spec: EngineSpec, timeouts: Timeouts, template_of: Callable[[str], str | None]) -> None:
        super().__init__(spec, timeouts)
        self._template_of = template_of

    def _prepared(self, question: Question, model: str) -> Question:
        if not isinstance(question, Chat):
            return question
        if _brings_template(question.extra):
            raise EngineFailure(
                FailureKind.INVALID_REQUEST,
                "chat_template cannot be chosen by a request: a chat is rendered with the template of its model",
            )
        template = self._template_of(model)
        if template is None:
            return question
        return question.model_copy(update={"extra": {**question.extra, _TEMPLATE: template}})

    async def load_adapter(self, name: str, path: Path, base_model: str) -> None:
        try:
            await super().load_adapter(name, path, base_model)
        except EngineFailure as failure:
            refused = _REFUSED.search(failure.message)
            if failure.kind is not FailureKind.ENGINE_ERROR or refused is None or "out of memory" in failure.message:
                raise
            raise EngineFailure(FailureKind.MODEL_LOAD, f"{name} could not be loaded. {refused['why']}") from None


def _brings_template(extra: dict[str, Any]) -> bool:
    values = extra.get("chat_template_kwargs")
    return extra.get(_TEMPLATE) is not None or (isinstance(values, dict) and values.get(_TEMPLATE) is not None)
