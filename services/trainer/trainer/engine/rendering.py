"""From conversations to the prompts and completions a model is trained on, with its own tokenizer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from contracts.base import RefusalCode, Refused
from contracts.pipeline import Template
from trainer.domain.conversations import Conversation
from trainer.domain.templates import CustomTemplate, chat_template
from trainer.engine.examples import Row, encode
from trainer.engine.models import fetch, load_tokenizer, resolve_model


@dataclass(frozen=True)
class Example:
    """One answer to learn. `tokens` counts prompt, completion and the end-of-text token, `prompt_tokens` the prompt.

    `opening` is the question that its conversation began with. Beside a `rejected` answer the row's completion is the
    one to prefer, and `tokens` are those of the longer of the two.
    """

    row: Row
    tokens: int
    prompt_tokens: int
    opening: str
    rejected: str | None = None


class Renderer:
    """A tokenizer with the chat template that training and serving share."""

    def __init__(self, tokenizer: Any, template: str) -> None:
        self._tokenizer = tokenizer
        self.template = template

    @classmethod
    def load(cls, base_model: str, models_dir: Path, template: Template, custom: CustomTemplate | None) -> "Renderer":
        """Raises `Refused(CONFIG_INVALID)` for a model that is not there, or lacks the chat template asked for."""
        tokenizer = load_tokenizer(fetch(resolve_model(base_model, models_dir)))
        return cls(tokenizer, _template_for(tokenizer, base_model, template, custom))

    def examples(self, conversations: Iterable[Conversation]) -> list[Example]:
        """One example for every answer of every conversation, in order."""
        answers = [
            (conversation[:index], turn)
            for conversation in conversations
            for index, turn in enumerate(conversation)
            if turn.role == "assistant"
        ]
        rows = [Row(self._prompt(history), answer.content) for history, answer in answers]
        lengths = [(prompt, len(ids)) for prompt, ids in encode(rows, self._tokenizer)] if rows else []
        worse = {index: turn.rejected for index, (_, turn) in enumerate(answers) if turn.rejected is not None}
        rejected = self._lengths([Row(rows[index].prompt, answer) for index, answer in worse.items()])
        for index, length in zip(worse, rejected, strict=True):
            prompt, tokens = lengths[index]
            lengths[index] = prompt, max(tokens, length)
        return [
            Example(row, tokens, prompt, _opening(history), turn.rejected)
            for row, (prompt, tokens), (history, turn) in zip(rows, lengths, answers, strict=True)
        ]

    def _lengths(self, rows: Sequence[Row]) -> list[int]:
        return [len(ids) for _, ids in encode(rows, self._tokenizer)] if rows else []

    def _prompt(self, history: Conversation) -> str:
        messages = [{"role": turn.role, "content": turn.content} for turn in history]
        try:
            prompt: str = self._tokenizer.apply_chat_template(
                messages, chat_template=self.template, tokenize=False, add_generation_prompt=True
            )
        except TemplateError as error:
            raise Refused(
                RefusalCode.CONFIG_INVALID, f"The model's chat template does not take these rows: {error.message}"
            ) from error
        return prompt


def _opening(history: Conversation) -> str:
    return next(turn.content for turn in history if turn.role == "user")


def _template_for(tokenizer: Any, base_model: str, template: Template, custom: CustomTemplate | None) -> str:
    adds_begin_token = _adds_begin_token(tokenizer)
    if custom is not None:
        return custom.chat_template(adds_begin_token=adds_begin_token)
    if template not in ("model", "messages", "sharegpt"):
        return chat_template(template, adds_begin_token=adds_begin_token)
    # Rows that are chats take the form the model already knows.
    own: str | None = tokenizer.chat_template and tokenizer.get_chat_template()
    if own is None and template == "model":
        raise Refused(
            RefusalCode.CONFIG_INVALID,
            f"The base model {base_model!r} has no chat template of its own; choose another template",
            {"errors": [{"field": "template", "message": "the model has none of its own"}]},
        )
    return own or chat_template("chatml", adds_begin_token=adds_begin_token)


def _adds_begin_token(tokenizer: Any) -> bool:
    ids = tokenizer("a")["input_ids"]
    return tokenizer.bos_token_id is not None and ids[:1] == [tokenizer.bos_token_id]
