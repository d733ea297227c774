"""Chat templates: the documented forms, and prompts that are the same in training and in serving."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from contracts.base import RefusalCode, Refused
from contracts.pipeline import Template
from trainer.domain.cleaning import clean
from trainer.domain.conversations import Conversation, Turn
from trainer.domain.templates import CustomTemplate
from trainer.engine.rendering import Renderer

_QUESTION: Conversation = (Turn("user", 'What is "it" — {{ 7*7 }}?'), Turn("assistant", "A thing."))
_CHAT: Conversation = (
    Turn("system", "Be brief."),
    Turn("user", "One?"),
    Turn("assistant", "1"),
    Turn("user", "Two?"),
    Turn("assistant", "2"),
)
_ALPACA = "Below is an instruction that describes a task. Write a response that appropriately completes the request."
_ALPACA_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a"
    " response that appropriately completes the request."
)


def _prompts(models_dir: Path, model: str, template: Template, conversation: Conversation) -> list[str]:
    return [example.row.prompt for example in Renderer.load(model, models_dir, template, None).examples([conversation])]


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("alpaca", f'{_ALPACA}\n\n### Instruction:\nWhat is "it" — {{{{ 7*7 }}}}?\n\n### Response:\n'),
        ("chatml", '<|im_start|>user\nWhat is "it" — {{ 7*7 }}?<|im_end|>\n<|im_start|>assistant\n'),
        ("llama", '[INST] What is "it" — {{ 7*7 }}? [/INST]'),
        ("mistral", '[INST] What is "it" — {{ 7*7 }}? [/INST]'),
    ],
)
def test_a_question_in_each_form(models_dir: Path, template: Template, prompt: str) -> None:
    assert _prompts(models_dir, "tiny", template, _QUESTION) == [prompt]
    assert _prompts(models_dir, "begins", template, _QUESTION) == ["<s>" + prompt]


@pytest.mark.parametrize(
    ("template", "last"),
    [
        (
            "alpaca",
            "Be brief.\n\n### Instruction:\nOne?\n\n### Response:\n1</s>\n\n### Instruction:\nTwo?\n\n### Response:\n",
        ),
        (
            "chatml",
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nOne?<|im_end|>\n<|im_start|>assistant\n1"
            "<|im_end|>\n<|im_start|>user\nTwo?<|im_end|>\n<|im_start|>assistant\n",
        ),
        ("llama", "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nOne? [/INST] 1 </s>[INST] Two? [/INST]"),
        ("mistral", "[INST] Be brief.\n\nOne? [/INST] 1</s>[INST] Two? [/INST]"),
    ],
)
def test_every_answer_of_a_chat_is_an_example_with_its_history(models_dir: Path, template: Template, last: str) -> None:
    first, second = _prompts(models_dir, "tiny", template, _CHAT)
    assert second == last
    assert first != second


def test_alpaca_says_when_an_input_follows(models_dir: Path) -> None:
    conversation = (Turn("user", "Add\n\n### Input:\n1 2"), Turn("assistant", "3"))
    assert _prompts(models_dir, "tiny", "alpaca", conversation) == [
        f"{_ALPACA_INPUT}\n\n### Instruction:\nAdd\n\n### Input:\n1 2\n\n### Response:\n"
    ]


@pytest.mark.parametrize("model", ["tiny", "begins"])
@pytest.mark.parametrize("template", ["alpaca", "chatml", "llama", "mistral", "messages", "sharegpt"])
@pytest.mark.parametrize("conversation", [_QUESTION, _CHAT])
def test_the_served_model_is_asked_exactly_as_it_was_trained(
    models_dir: Path, model: str, template: Template, conversation: Conversation
) -> None:
    renderer = Renderer.load(model, models_dir, template, None)
    served = AutoTokenizer.from_pretrained(models_dir / model)
    served.chat_template = renderer.template
    messages = [{"role": turn.role, "content": turn.content} for turn in conversation[:-1]]
    asked = served.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    trained = renderer.examples([conversation])[-1]
    assert asked == trained.row.prompt
    token_ids = served.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert token_ids == served(trained.row.prompt, add_special_tokens=False)["input_ids"]


def test_the_length_counts_prompt_answer_and_end(models_dir: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(models_dir / "tiny")
    (example,) = Renderer.load("tiny", models_dir, "chatml", None).examples([_QUESTION])
    text = example.row.prompt + example.row.completion
    assert example.tokens == len(tokenizer(text, add_special_tokens=False)["input_ids"]) + 1


def test_a_models_own_template_is_used_for_chats_and_when_asked_for(models_dir: Path) -> None:
    own = "<s>user: One?\nassistant: "
    conversation = (Turn("user", "One?"), Turn("assistant", "1"))
    assert _prompts(models_dir, "begins", "model", conversation) == [own]
    assert _prompts(models_dir, "begins", "messages", conversation) == [own]


def test_a_model_without_template_of_its_own_is_refused_when_it_is_asked_for(models_dir: Path) -> None:
    with pytest.raises(Refused, match="no chat template") as refused:
        Renderer.load("tiny", models_dir, "model", None)
    assert refused.value.code is RefusalCode.CONFIG_INVALID


# Custom templates

_ROW = {"question": "Why {x}?", "context": "Sky", "answer": "Blue."}


@pytest.mark.parametrize("template", ["{{ messages + 1 }}", "{{ 1 // 0 }}", "{{ raise_exception('system first') }}"])
def test_a_template_that_fails_on_the_rows_is_refused_with_its_reason(models_dir: Path, template: str) -> None:
    renderer = Renderer(AutoTokenizer.from_pretrained(models_dir / "tiny"), template)
    with pytest.raises(Refused, match=r"chat template does not take these rows: .+") as refused:
        renderer.examples([_QUESTION])
    assert refused.value.code is RefusalCode.CONFIG_INVALID


def _custom(models_dir: Path, model: str, text: str, row: dict[str, str | None]) -> tuple[str, str, Renderer]:
    custom = CustomTemplate.parse(text)
    fields = custom.fields_of(list(row), {})
    conversation = custom.read_row(row, fields, clean)
    assert conversation is not None
    renderer = Renderer.load(model, models_dir, "custom", custom)
    (example,) = renderer.examples([conversation])
    return example.row.prompt, example.row.completion, renderer


def test_a_custom_template_substitutes_named_variables_only(models_dir: Path) -> None:
    text = 'Q "{question}" {{ 1+1 }} {% x %} {0} {a.b} é😀\nA: {answer}'
    prompt, completion, _ = _custom(models_dir, "begins", text, dict(_ROW))
    assert prompt == '<s>Q "Why {x}?" {{ 1+1 }} {% x %} {0} {a.b} é😀\nA: '
    assert completion == "Blue."


def test_a_message_takes_the_place_of_the_only_question(models_dir: Path) -> None:
    prompt, _, renderer = _custom(models_dir, "tiny", "Q: {question}\nA: {answer}", dict(_ROW))
    served = AutoTokenizer.from_pretrained(models_dir / "tiny")
    served.chat_template = renderer.template
    messages = [{"role": "user", "content": "Why {x}?"}]
    assert served.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == prompt


def test_with_several_variables_a_message_is_the_whole_prompt(models_dir: Path) -> None:
    prompt, completion, renderer = _custom(models_dir, "tiny", "Given {context}: {question}\n{answer}\n---", dict(_ROW))
    assert (prompt, completion) == ("Given Sky: Why {x}?\n", "Blue.\n---")
    served = AutoTokenizer.from_pretrained(models_dir / "tiny")
    served.chat_template = renderer.template
    asked = served.apply_chat_template([{"role": "user", "content": prompt}], tokenize=False)
    assert asked == prompt


def test_plain_text_can_be_learnt_without_a_question(models_dir: Path) -> None:
    prompt, completion, _ = _custom(models_dir, "tiny", "{text}", {"text": "Once upon a time"})
    assert (prompt, completion) == ("", "Once upon a time")


def test_a_custom_template_needs_a_variable() -> None:
    with pytest.raises(Refused) as refused:
        CustomTemplate.parse("nothing to fill in { }")
    assert refused.value.code is RefusalCode.CONFIG_INVALID
