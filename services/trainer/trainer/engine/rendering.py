"""From conversations to the prompts and completions a model is trained on, with its own tokenizer."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import TemplateError

from contracts.base import RefusalCode, Refused
from contracts.pipeline import Template
from trainer.domain.conversations import Conversation
from trainer.domain.templates import CustomTemplate, chat_template
from trainer.engine.examples import Encoded, Row, encoded
from trainer.engine.kept_tokens import keep_tokens
from trainer.engine.models import fetch, load_tokenizer, resolve_model


@dataclass(frozen=True)
class Example:
    """One answer to learn, and its token ids: prompt, completion and the end-of-text token.

    `opening` is the question that its conversation began with. Beside a `rejected` answer, which has `encoded` ids too,
    the row's completion is the one to prefer.
    """

    row: Row
    encoded: tuple[Encoded, ...]
    opening: str
    rejected: str | None = None

    @property
    def tokens(self) -> int:
        """Of the longer answer, where there are two."""
        return max(len(ids) for _, ids in self.encoded)

    @property
    def prompt_tokens(self) -> int:
        return self.encoded[0][0]


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
        worse = {index: turn.rejected for index, (_, turn) in enumerate(answers) if turn.rejected is not None}
        encoded_rows = [(one,) for one in self._encoded(rows)]
        rejected = self._encoded(Row(rows[index].prompt, answer) for index, answer in worse.items())
        second = dict(zip(worse, ((one,) for one in rejected), strict=True))
        return [
            Example(row, first + second.get(index, ()), _opening(history), turn.rejected)
            for index, (row, first, (history, turn)) in enumerate(zip(rows, encoded_rows, answers, strict=True))
        ]

    def keep_tokens(self, rows: Path, examples: Sequence[Example]) -> None:
        """Writes the token ids of the examples, which are the rows of that file, beside it."""
        # A row without the other answer is none to prefer by: then only those to give are of use.
        answers = min((len(example.encoded) for example in examples), default=1)
        keep_tokens(
            rows, [one for example in examples for one in example.encoded[:answers]], self._tokenizer, answers=answers
        )

    def _encoded(self, rows: Iterable[Row]) -> Iterator[Encoded]:
        for prompt, ids in encoded(iter(rows), self._tokenizer):
            yield prompt, np.asarray(ids, dtype=np.int32)

    def _prompt(self, history: Conversation) -> str:
        messages = [{"role": turn.role, "content": turn.content} for turn in history]
        try:
            prompt: str = self._tokenizer.apply_chat_template(
                messages, chat_template=self.template, tokenize=False, add_generation_prompt=True
            )
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise Refused(
                RefusalCode.CONFIG_INVALID, f"The model's chat template does not take these rows: {error}"
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
