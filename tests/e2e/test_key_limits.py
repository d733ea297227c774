"""What a key may ask and spend, held on every route that asks a model, on the whole platform."""

from functools import partial
from typing import Any

import openai
import pytest

from embedded.platform import Platform
from tests.e2e.caller import Caller

pytestmark = pytest.mark.e2e

MODEL = "simulated-small"
WORDS = "a few words that are more than a single token"
MESSAGES: Any = [{"role": "user", "content": WORDS}]
ASKING: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"model": MODEL, "messages": MESSAGES}),
    "streamed chat": ("/v1/chat/completions", {"model": MODEL, "messages": MESSAGES, "stream": True}),
    "text": ("/v1/completions", {"model": MODEL, "prompt": WORDS}),
    "streamed text": ("/v1/completions", {"model": MODEL, "prompt": WORDS, "stream": True}),
    "response": ("/v1/responses", {"model": MODEL, "input": WORDS}),
    "streamed response": ("/v1/responses", {"model": MODEL, "input": WORDS, "stream": True}),
    "embeddings": ("/v1/embeddings", {"model": MODEL, "input": WORDS}),
    "test": ("/api/v1/llm/test", {"prompt": WORDS, "model_name": MODEL, "input": ""}),
    "action": ("/api/v1/llm/actions/1/execute", {"input_data": {"idea_seed": WORDS}}),
    "content": ("/api/v1/llm/generate-idea", {"topic": WORDS}),
}
"""Every way to ask a model and wait for what it says."""


async def key_of(caller: Caller, **options: Any) -> str:
    key: str = (await caller.post("/api/v1/keys", {"name": "limited", **options}))["key"]
    return key


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        ({"budget": {"tokens": 1, "period": "total"}}, 429, "budget of 1 tokens"),
        ({"allowed_models": ["another"]}, 403, "may not ask the model"),
    ],
    ids=["budget", "models"],
)
async def test_a_key_s_limits_hold_on_every_route(
    options: dict[str, Any], status: int, says: str, caller: Caller, platform: Platform
) -> None:
    async with Caller(platform.url, await key_of(caller, **options)) as limited:
        for name, (path, body) in ASKING.items():
            got, answer = await limited.call("POST", path, json=body)
            assert (got, says in str(answer)) == (status, True), (name, answer)
        task = await limited.post("/api/v1/tasks", {"prompt": "What is the capital of France?"})
        assert (task["status"], says in task["error"]) == ("Failed", True)


async def test_what_is_reserved_and_not_spent_can_be_spent_again(caller: Caller, platform: Platform) -> None:
    key = await key_of(caller, budget={"tokens": 6000, "period": "total"})
    async with openai.AsyncOpenAI(base_url=f"{platform.url}/v1", api_key=key, max_retries=0) as client:
        ask = partial(client.chat.completions.create, model=MODEL, messages=MESSAGES, max_tokens=4000)
        for _ in range(2):
            # No two of these would fit if the first kept what it reserved.
            assert (await ask()).usage.total_tokens < 100
            assert [chunk async for chunk in await ask(stream=True)][-1].choices[0].finish_reason == "stop"
        with pytest.raises(openai.RateLimitError) as spent:
            await ask(max_tokens=6000)
    assert spent.value.code == "insufficient_quota"
