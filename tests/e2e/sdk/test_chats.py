"""Completions, keys, users, usage and the platform itself by the SDK for Python, which stands alone."""

import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import pytest

from embedded.platform import Platform
from llm_platform import (
    Client,
    Forbidden,
    NotFound,
    Unauthenticated,
)

pytestmark = pytest.mark.e2e

HELLO = [{"role": "user", "content": "Hello"}]


def test_chats_texts_responses_and_embeddings(sdk: Client) -> None:
    answer = sdk.chat.create(model="simulated-small", messages=HELLO, max_tokens=6)
    chunks = list(sdk.chat.stream(model="simulated-small", messages=HELLO, max_tokens=6))
    told = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert told == answer.choices[0].message.content
    assert sdk.chat.complete(model="simulated-small", prompt="To serialize,", max_tokens=4).choices[0].text
    assert sdk.chat.respond(model="simulated-small", input="Hello", max_output_tokens=16).output
    events = list(sdk.chat.respond_stream(model="simulated-small", input="Hello", max_output_tokens=64))
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert len(sdk.chat.embed(model="simulated-small", input=["a"], dimensions=8).data[0].embedding) == 8
    assert sdk.chat.model("simulated-small").id in [model.id for model in sdk.chat.models()]
    with pytest.raises(NotFound) as missing:
        sdk.chat.create(model="gpt-9", messages=HELLO)
    assert missing.value.code == "model_not_found"
    with pytest.raises(NotFound):
        next(sdk.chat.stream(model="gpt-9", messages=HELLO))


def test_keys_users_usage_and_the_platform(sdk: Client, platform: Platform) -> None:
    key = sdk.keys.create(name=f"sdk {uuid.uuid4().hex[:6]}", role="viewer")
    with Client(platform.url, key.key) as viewer:
        assert viewer.platform.me().role == "viewer"
        with pytest.raises(Forbidden):
            viewer.blocks.create(title="x", content="y")
        assert sdk.keys.update(key.key_id, requests_per_minute=300).requests_per_minute == 300
        assert key.key_id in [each.key_id for each in sdk.keys.list()]
        sdk.keys.revoke(key.key_id)
    with Client(platform.url, "llmp_nobody") as stranger, pytest.raises(Unauthenticated):
        stranger.blocks.list()
    user = sdk.users.create(name=f"ada-{uuid.uuid4().hex[:6]}", password="correct horse battery", role="member")
    assert sdk.users.update(user.user_id, role="viewer").role == "viewer"
    assert user.user_id in [each.user_id for each in sdk.users.list()]
    sdk.users.delete(user.user_id)
    assert sdk.platform.health().status == "healthy"
    assert sdk.platform.metrics(window=60).server_status == "online"
    assert sdk.platform.ready().status == "ready"
    assert next(sdk.usage.rows(group_by="model")).requests > 0
    newest = next(sdk.usage.interactions(limit=3))
    assert sdk.usage.interaction(newest.interaction_id).interaction_id == newest.interaction_id
    assert sdk.events.ticket().expires_in > 0


def test_the_wheel_stands_alone(tmp_path: Path) -> None:
    """No service's code is imported, even by all of it."""
    script = textwrap.dedent("""
        import pkgutil, sys, importlib, llm_platform
        for found in pkgutil.walk_packages(llm_platform.__path__, "llm_platform."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)
        ours = {"contracts", "common", "gateway", "orchestrator", "trainer", "registry", "llm_router", "embedded"}
        sys.exit(str(ours & set(sys.modules)) if ours & set(sys.modules) else 0)
    """)
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
