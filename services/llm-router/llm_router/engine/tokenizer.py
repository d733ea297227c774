"""The tokenizer of an engine's model, which vLLM and llama.cpp's server offer beside OpenAI's API.

Source: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html#tokenizer-api and the README of
llama.cpp's server. Both are below the host itself, not below `/v1`.
"""

from dataclasses import replace
from typing import Any

from common.encoding import as_json
from contracts.router import Chat, Usage
from llm_router.domain.engines import EngineSpec, Question
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.engine.http import EngineHttp
from llm_router.engine.openai_wire import invalid_answer, read_object
from llm_router.engine.protocol import Timeouts

_NOT_OFFERED = (FailureKind.INVALID_ANSWER, FailureKind.AUTHENTICATION)
"""What an engine without a tokenizer answers: it is not asked again."""


class EngineTokenizer:
    """Counts what an engine has answered without saying how many tokens that took."""

    def __init__(self, spec: EngineSpec, timeouts: Timeouts) -> None:
        self._spec = replace(spec, api_base=spec.api_base.removesuffix("/v1"))
        self._timeouts = timeouts
        self._http: EngineHttp | None = None
        self._is_offered = True

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def count(self, question: Question, output: str, model: str) -> Usage | None:
        """None for an engine that offers no tokenizer, and for what it cannot count."""
        if not self._is_offered:
            return None
        try:
            read, written = await self._prompt_tokens(question, model), await self._tokens(output, model)
        except EngineFailure as failure:
            self._is_offered = failure.kind not in _NOT_OFFERED
            return None
        return Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)

    async def _prompt_tokens(self, question: Question, model: str) -> int:
        if not isinstance(question, Chat):
            return sum([await self._tokens(p, model) if isinstance(p, str) else len(p) for p in question.prompts])
        messages = [message.model_dump(exclude_none=True) for message in question.messages]
        if self._spec.provider_type != "llamacpp":
            return _count(await self._ask("/tokenize", model=model, messages=messages))
        rendered = (await self._ask("/apply-template", messages=messages)).get("prompt")
        if not isinstance(rendered, str):
            raise invalid_answer("renders no prompt")
        return _count(await self._ask("/tokenize", content=rendered, add_special=True))

    async def _tokens(self, text: str, model: str) -> int:
        if self._spec.provider_type == "llamacpp":
            return _count(await self._ask("/tokenize", content=text))
        return _count(await self._ask("/tokenize", model=model, prompt=text, add_special_tokens=False))

    async def _ask(self, path: str, **body: Any) -> dict[str, Any]:
        if self._http is None:
            # Made when it is first needed, which with most engines it never is.
            self._http = EngineHttp(self._spec, self._timeouts)
        return read_object(await self._http.read("POST", path, as_json(body), total=self._timeouts.check))


def _count(answer: dict[str, Any]) -> int:
    """vLLM says how many, llama.cpp which."""
    count, tokens = answer.get("count"), answer.get("tokens")
    if isinstance(count, int) and count >= 0:
        return count
    if not isinstance(tokens, list):
        raise invalid_answer("counts no tokens")
    return len(tokens)
