"""From what a request asks to the tokens that a model reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from engines.openai_wire import ApiError, Message


@dataclass(frozen=True)
class ChatPrompt:
    messages: Sequence[Message]


@dataclass(frozen=True)
class TextPrompt:
    text: str


@dataclass(frozen=True)
class TokenPrompt:
    ids: Sequence[int]


Prompt = ChatPrompt | TextPrompt | TokenPrompt


def encode(prompt: Prompt, tokenizer: Any, chat_template: str | None = None) -> list[int]:
    """The tokens of `prompt`. A chat goes through `chat_template`, else the tokenizer's own, else a plain form.

    Raises ApiError (400) for a chat that the template refuses, unknown tokens, and a prompt of none.
    """
    if isinstance(prompt, ChatPrompt):
        ids = _encode_chat(prompt.messages, tokenizer, chat_template)
    elif isinstance(prompt, TextPrompt):
        ids = list(tokenizer(prompt.text)["input_ids"])
    else:
        ids = list(prompt.ids)
        if any(not 0 <= token < len(tokenizer) for token in ids):
            raise ApiError(400, f"Tokens are numbers from 0 to {len(tokenizer) - 1}.", param="prompt")
    if not ids and tokenizer.bos_token_id is not None:
        ids = [tokenizer.bos_token_id]
    if not ids:
        raise ApiError(400, "The prompt is empty.", param="prompt")
    return ids


def _encode_chat(messages: Sequence[Message], tokenizer: Any, template: str | None) -> list[int]:
    if template is None and tokenizer.chat_template is None:
        return list(tokenizer(plain_chat(messages))["input_ids"])
    turns = [{"role": _template_role(message), "content": message.text} for message in messages]
    try:
        encoded = tokenizer.apply_chat_template(
            turns, chat_template=template, add_generation_prompt=True, tokenize=True, return_dict=True
        )
    except (TemplateError, ValueError, TypeError) as error:
        raise ApiError(400, f"The model's chat template refuses these messages: {error}", param="messages") from error
    return list(encoded["input_ids"])


def _template_role(message: Message) -> str:
    """Templates know `system`; OpenAI renamed it to `developer`."""
    return "system" if message.role == "developer" else message.role


def plain_chat(messages: Sequence[Message]) -> str:
    """A chat for a model without a template: a paragraph for each turn, then the assistant's, left open."""
    turns = [f"{_template_role(message).capitalize()}: {message.text}" for message in messages]
    return "\n\n".join([*turns, "Assistant:"])
