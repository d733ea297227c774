"""GGUF files of ours in llama.cpp itself: it splits text and weighs tokens as the models do.

`make test-llama-cpp` runs these: llama.cpp is in an environment of its own, as a wheel that needs no compiler.
"""

import json
import subprocess
import sys
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest
import torch

from contracts.pipeline import GgufType
from tests.trainer.engine.gguf_models import ARCHITECTURES, make_model
from trainer.engine.gguf import rounded, write_gguf
from trainer.engine.models import load_config, load_model, load_tokenizer

PYTHON = Path(f"{sys.prefix}-llama-cpp") / "bin" / "python"
TEXTS = ["Hello world", "1234 apples, isn't it?\n\n  fine", "größe 日本 🙂", " leading", "trailing  ", "\tTab\r\nend"]
CLOSE = 0.05
"""Nats: llama.cpp keeps its cache of keys and values in 16 bits, and quantises activations where weights are."""


@pytest.fixture(scope="module")
def prose() -> list[str]:
    return [topics["assignment"][:1100]] * 4


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, prose: list[str]) -> Path:
    if not PYTHON.exists():
        pytest.skip(f"llama.cpp is not installed at {PYTHON}: `make test-llama-cpp` installs it")
    return make_model(request.param, prose, tmp_path_factory.mktemp("gguf") / request.param)


def _ask(file: Path, prompts: list[list[int]]) -> dict[str, Any]:
    asked = json.dumps({"file": str(file), "texts": TEXTS, "prompts": prompts})
    done = subprocess.run(
        [PYTHON, Path(__file__).with_name("ask.py")], input=asked, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout[done.stdout.index('{"tokens"') :])
    return answer


@pytest.mark.parametrize("type_", ["F32", "BF16", "Q8_0", "Q4_1", "Q6_K", "Q4_K_M"])
def test_llama_cpp_splits_and_weighs_as_the_model(
    model_dir: Path, tmp_path: Path, prose: list[str], type_: GgufType
) -> None:
    tokenizer = load_tokenizer(model_dir)
    ids = tokenizer(prose[0], add_special_tokens=False)["input_ids"]
    prompts = [ids[:length] for length in (1, 5, 20, 60, 100)]
    file = tmp_path / "model.gguf"
    write_gguf(model_dir, tokenizer, load_config(model_dir), file, type_, name="a test")
    said = _ask(file, prompts)
    assert said["tokens"] == [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    model = load_model(model_dir, torch.float32).eval()
    rounded(model, type_)
    for prompt, probable in zip(prompts, said["probable"], strict=True):
        with torch.inference_mode():
            expected = model(torch.tensor([prompt])).logits[0, -1].log_softmax(-1)
        top, second = expected.topk(2).values.tolist()
        if top - second > 2 * CLOSE:
            assert probable[0][0] == int(expected.argmax())
        limit = CLOSE if type_ in ("F32", "BF16") else 4 * CLOSE
        likely = [(token, weight) for token, weight in probable if weight > -3]
        assert all(abs(expected[token].item() - weight) < limit for token, weight in likely)
