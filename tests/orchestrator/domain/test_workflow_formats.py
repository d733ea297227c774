"""Model formats: each as its maker publishes it, and as models are fine-tuned here."""

from typing import get_args

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from contracts.workflows import ModelFormat
from orchestrator.domain.workflows.formats import formatted, stops
from trainer.domain.templates import chat_template

_PROMPT = 'What is "it" — {{ 7*7 }}?'
_ALPACA = "Below is an instruction that describes a task. Write a response that appropriately completes the request."
_VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and"
    " polite answers to the user's questions."
)
_PUBLISHED: dict[ModelFormat, str] = {
    "chat": _PROMPT,
    "raw": _PROMPT,
    "mistral": f"[INST] {_PROMPT} [/INST]",
    "llama": f"[INST] {_PROMPT} [/INST]",
    "llama3": (
        f"<|start_header_id|>user<|end_header_id|>\n\n{_PROMPT}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "chatml": f"<|im_start|>user\n{_PROMPT}<|im_end|>\n<|im_start|>assistant\n",
    "alpaca": f"{_ALPACA}\n\n### Instruction:\n{_PROMPT}\n\n### Response:\n",
    "vicuna": f"{_VICUNA} USER: {_PROMPT} ASSISTANT:",
    "gemma": f"<start_of_turn>user\n{_PROMPT}<end_of_turn>\n<start_of_turn>model\n",
    "phi": f"<|user|>\n{_PROMPT}<|end|>\n<|assistant|>\n",
}
_SELF_FORMATTED = ("chat", "raw")


@pytest.mark.parametrize("model_format", get_args(ModelFormat))
def test_a_prompt_has_the_form_that_was_published(model_format: ModelFormat) -> None:
    assert formatted(_PROMPT, model_format) == _PUBLISHED[model_format]


@pytest.mark.parametrize("model_format", ["mistral", "llama", "chatml", "alpaca"])
def test_a_model_that_was_fine_tuned_here_is_asked_as_it_was_trained(model_format: ModelFormat) -> None:
    template = chat_template(model_format, adds_begin_token=False)
    conversation = [{"role": "user", "content": _PROMPT}]
    rendered, _ = render_jinja_template([conversation], chat_template=template, add_generation_prompt=True)
    assert rendered == [formatted(_PROMPT, model_format)]


@pytest.mark.parametrize("model_format", get_args(ModelFormat))
def test_an_answer_ends_where_a_turn_that_is_not_the_models_begins(model_format: ModelFormat) -> None:
    assert bool(stops(model_format)) is (model_format not in _SELF_FORMATTED)
    assert not any(formatted("x", model_format).endswith(stop) for stop in stops(model_format))


def test_the_space_around_a_prompt_is_the_formats_own() -> None:
    assert formatted("\n hello \n", "chatml") == formatted("hello", "chatml")
    assert formatted("\n hello \n", "raw") == "\n hello \n"
