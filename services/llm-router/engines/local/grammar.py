"""Keeps an answer to JSON of a schema: only tokens that can still lead to such an answer may be chosen."""

from typing import Any

import torch
from llguidance import LLMatcher, LLTokenizer

from common.encoding import as_json
from engines.openai_wire import ApiError, Json


class Grammar:
    """A logits processor for one answer. Raises ApiError (400) when made of a schema that it cannot follow."""

    def __init__(self, tokenizer: LLTokenizer, schema: Json, prompt_length: int) -> None:
        self._prompt_length = prompt_length
        try:
            # One way to write each value: a small model would otherwise fill its answer with spaces.
            grammar = LLMatcher.grammar_from_json_schema(
                as_json(schema).decode(),
                defaults={"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "},
            )
            self._matcher = LLMatcher(tokenizer, grammar, log_level=0)
        except ValueError as error:
            raise _refused(str(error)) from error
        if self._matcher.is_error():
            raise _refused(self._matcher.get_error())

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        if input_ids.shape[1] > self._prompt_length:
            self._matcher.consume_token(int(input_ids[0, -1]))
        # A byte for each token, 0 where it is ruled out. Once the JSON is complete only the end is left.
        allowed = torch.frombuffer(bytearray(self._matcher.compute_logit_bias()), dtype=torch.uint8)
        return scores.masked_fill(allowed.to(scores.device)[: scores.shape[1]] == 0, float("-inf"))


def _refused(why: str) -> ApiError:
    message = f"This engine cannot follow the JSON schema: {why.strip().splitlines()[0]}"
    return ApiError(400, message, param="response_format")
