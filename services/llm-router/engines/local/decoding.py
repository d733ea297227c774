"""One generation: tokens in, pieces of text out. It blocks, so it runs in the thread of its model."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessorList, StoppingCriteriaList

from engines.local.grammar import Grammar
from engines.local.loading import Weights
from engines.local.sampling import Sampling, Scores, processors_of
from engines.local.text_stream import IncrementalDecoder, StopMatcher
from engines.logprobs import TokenLogprob
from engines.openai_wire import FinishReason, context_length_exceeded


@dataclass(frozen=True)
class Piece:
    """New text of an answer, and the tokens that came since the piece before, where they were asked for."""

    text: str
    tokens: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class Finished:
    """The end of an answer. The token that ended it is counted, as vLLM does."""

    reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


Emit = Callable[[Piece | Finished], None]


def decode(
    weights: Weights, prompt: Sequence[int], sampling: Sampling, emit: Emit, cancelled: threading.Event, cap: int
) -> None:
    """Generates an answer to `prompt`, at most `cap` tokens, and hands its text to `emit` as it comes, then the end.

    Stops at the next token once `cancelled` is set, and then emits nothing more. An answer that does not fit into the
    context ends there with the reason `length`. Raises ApiError (400) if the prompt alone does not fit.
    """
    room = weights.context_length - len(prompt)
    if room <= 0:
        raise context_length_exceeded(len(prompt), weights.context_length)
    limit = min(room, cap, sampling.max_tokens or cap)
    end_tokens = frozenset() if sampling.ignore_eos else weights.end_tokens
    scores = Scores(weights.tokenizer, sampling.likeliest) if sampling.likeliest is not None else None
    watcher = _Watcher(weights.tokenizer, sampling.stops, end_tokens, emit, cancelled, scores)
    processors = processors_of(sampling, weights.model, len(prompt))
    if sampling.json_schema is not None:
        processors.insert(0, Grammar(weights.grammar_tokenizer, sampling.json_schema, len(prompt)))
    ids = torch.tensor([list(prompt)], device=weights.model.device)
    # transformers' own sampling draws from one generator for the whole process, so that a seed would mean nothing with
    # two models at work. It takes the likeliest token here, of scores that `sampling` has drawn from.
    weights.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=limit,
        do_sample=False,
        num_beams=1,
        eos_token_id=sorted(end_tokens) or None,
        pad_token_id=min(weights.end_tokens, default=0),
        logits_processor=LogitsProcessorList([*([scores] if scores is not None else []), *processors]),
        stopping_criteria=StoppingCriteriaList([watcher]),
    )
    watcher.finish(len(prompt))


class _Watcher:
    """Looks at each token as it is chosen: a stopping criterion of transformers' `generate`."""

    def __init__(
        self,
        tokenizer: Any,
        stops: tuple[str, ...],
        end_tokens: frozenset[int],
        emit: Emit,
        cancelled: threading.Event,
        scores: Scores | None,
    ) -> None:
        self._decoder = IncrementalDecoder(tokenizer)
        self._matcher = StopMatcher(stops)
        self._end_tokens = end_tokens
        self._emit = emit
        self._cancelled = cancelled
        self._scores = scores
        self._told: list[TokenLogprob] = []
        self._tokens = 0
        self._ended = False

    def __call__(self, input_ids: Any, _scores: Any, **_: Any) -> Any:
        token = int(input_ids[0, -1])
        self._tokens += 1
        if token in self._end_tokens:
            self._ended = True
        elif not self._cancelled.is_set():
            if self._scores is not None:
                self._told.append(self._scores.of(token))
            self._give(self._matcher.push(self._decoder.push(token)))
        stop = self._ended or self._matcher.matched or self._cancelled.is_set()
        return torch.tensor([stop], device=input_ids.device)

    def finish(self, prompt_tokens: int) -> None:
        if self._cancelled.is_set():
            return
        if not self._matcher.matched:
            self._give(self._matcher.push(self._decoder.flush()))
        if not self._matcher.matched:
            self._give(self._matcher.flush())
        if self._told:
            self._emit(Piece("", tuple(self._told)))
        reason: FinishReason = "stop" if self._ended or self._matcher.matched else "length"
        self._emit(Finished(reason, prompt_tokens, self._tokens))

    def _give(self, text: str) -> None:
        if text:
            self._emit(Piece(text, tuple(self._told)))
            self._told.clear()
