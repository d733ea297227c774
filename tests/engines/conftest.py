"""A tiny model made on the spot, adapters for it, and engines that serve them."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from engines.local.app import ENGINE, build
from engines.local.engine import LocalEngine
from engines.local.settings import LocalSettings
from engines.server import listening

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CONTEXT_LENGTH = 256


@dataclass(frozen=True)
class TinyModel:
    """A folder with a Llama of two layers and its tokenizer, and what transformers itself makes of them."""

    folder: Path
    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)

    def greedy(self, prompt_ids: Sequence[int], count: int, adapter: Path | None = None) -> str:
        """What transformers' own `generate` answers, with the adapter if one is given."""
        model = self.model
        if adapter is not None:
            model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(self.folder), str(adapter)).eval()
        ids = torch.tensor([list(prompt_ids)])
        output = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=count
        )
        return self.tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)

    def chat_ids(self, text: str) -> list[int]:
        turns = [{"role": "user", "content": text}]
        return self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)["input_ids"]


def make_tokenizer(chat_template: str | None = CHAT_TEMPLATE) -> PreTrainedTokenizerFast:
    """A byte-level BPE of 400 tokens, so that one character may take several of them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the quick brown fox jumps over the lazy dog and what does it do"] * 20, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", chat_template=chat_template
    )


def make_model(folder: Path, *, seed: int = 0, chat_template: str | None = CHAT_TEMPLATE) -> TinyModel:
    """Saves a model with random weights, wide enough apart that its greedy answers wander."""
    tokenizer = make_tokenizer(chat_template)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT_LENGTH,
        initializer_range=0.6,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return TinyModel(folder, AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder))


def make_adapter(model: TinyModel, folder: Path, *, seed: int) -> Path:
    """Saves a LoRA adapter with random weights, as peft saves one, that changes what the model answers."""
    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
    tuned = get_peft_model(AutoModelForCausalLM.from_pretrained(model.folder), config)
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.5)
    tuned.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def adapter_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("adapters")


@pytest.fixture(scope="session")
def tiny(models_dir: Path) -> TinyModel:
    """The model `tiny`."""
    return make_model(models_dir / "tiny")


@pytest.fixture(scope="session")
def other(models_dir: Path) -> TinyModel:
    """The model `team/other`, which has other weights and no chat template."""
    return make_model(models_dir / "team" / "other", seed=7, chat_template=None)


@pytest.fixture(scope="session")
def adapters(tiny: TinyModel, adapter_dir: Path) -> list[Path]:
    """Two adapters of `tiny`."""
    return [make_adapter(tiny, adapter_dir / f"adapter-{seed}", seed=seed) for seed in (1, 2)]


@dataclass(frozen=True)
class Served:
    """An engine on a free port of this process."""

    url: str
    engine: LocalEngine
    client: openai.AsyncOpenAI


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serve(tiny: TinyModel, other: TinyModel, models_dir: Path, adapter_dir: Path) -> Serve:
    """Serves the tiny models with the given settings, with cancellation and all, as the real process does."""

    @asynccontextmanager
    async def serving(**settings: Any) -> AsyncIterator[Served]:
        app = build(LocalSettings(models_dir=models_dir, adapter_dir=adapter_dir, hub=False, threads=1, **settings))
        async with (
            listening(app, "127.0.0.1", 0) as url,
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
        ):
            yield Served(url, app[ENGINE], client)

    return serving


@pytest.fixture
async def served(serve: Serve) -> AsyncIterator[Served]:
    async with serve() as served:
        yield served


Start = Callable[..., AbstractAsyncContextManager[str]]


@pytest.fixture
def start_process() -> Start:
    """Starts `python -m <module>` on a free port and gives its URL; stops it with SIGTERM and expects a clean end."""

    @asynccontextmanager
    async def starting(module: str, *arguments: str, **environment: str) -> AsyncIterator[str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, "--port", "0", *arguments,
            stdout=asyncio.subprocess.PIPE, env={**os.environ, **environment},
        )  # fmt: skip
        assert process.stdout is not None
        try:
            async with asyncio.timeout(60):
                while (found := re.search(rb"http://[\d.]+:\d+", await process.stdout.readline())) is None:
                    assert process.returncode is None and not process.stdout.at_eof(), "the engine did not start"
            yield found.group().decode()
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(15):
                await process.communicate()
            assert process.returncode == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    return starting
