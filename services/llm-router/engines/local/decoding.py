"""One generation: tokens in, pieces of text out. It blocks, so it runs in the thread of its model."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessorList, StoppingCriteriaList, TemperatureLogitsWarper, TopKLogitsWarper
from transformers.generation import TopPLogitsWarper

from engines.local.loading import Weights
from engines.local.text_stream import IncrementalDecoder, StopMatcher
from engines.openai_wire import FinishReason, context_length_exceeded


@dataclass(frozen=True)
class Sampling:
    """How to choose tokens. None takes what the model's generation_config.json says, as vLLM does.

    Temperature 0 takes the likeliest. Without a seed every answer is another one. `max_tokens` None: as many as fit.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    max_tokens: int | None = None
    stops: tuple[str, ...] = ()
    ignore_eos: bool = False


@dataclass(frozen=True)
class Piece:
    """New text of an answer."""

    text: str


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
    watcher = _Watcher(weights.tokenizer, sampling.stops, end_tokens, emit, cancelled)
    ids = torch.tensor([list(prompt)], device=weights.model.device)
    # transformers' own sampling draws from one generator for the whole process, so that a seed would mean nothing with
    # two models at work. It takes the likeliest token here, of scores that `_Draw` has drawn from.
    weights.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=limit,
        do_sample=False,
        num_beams=1,
        eos_token_id=sorted(end_tokens) or None,
        pad_token_id=min(weights.end_tokens, default=0),
        logits_processor=LogitsProcessorList(_processors(sampling, weights.model)),
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
    ) -> None:
        self._decoder = IncrementalDecoder(tokenizer)
        self._matcher = StopMatcher(stops)
        self._end_tokens = end_tokens
        self._emit = emit
        self._cancelled = cancelled
        self._tokens = 0
        self._ended = False

    def __call__(self, input_ids: Any, _scores: Any, **_: Any) -> Any:
        token = int(input_ids[0, -1])
        self._tokens += 1
        if token in self._end_tokens:
            self._ended = True
        elif not self._cancelled.is_set():
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
        reason: FinishReason = "stop" if self._ended or self._matcher.matched else "length"
        self._emit(Finished(reason, prompt_tokens, self._tokens))

    def _give(self, text: str) -> None:
        if text:
            self._emit(Piece(text))


def _processors(sampling: Sampling, model: Any) -> list[Any]:
    """What changes the scores before the likeliest is taken; nothing for temperature 0."""
    defaults = model.generation_config
    temperature = _first(sampling.temperature, defaults.temperature, 1.0)
    top_k = _first(sampling.top_k, defaults.top_k, 0)
    top_p = _first(sampling.top_p, defaults.top_p, 1.0)
    if temperature == 0:
        return []
    processors: list[Any] = []
    if temperature != 1.0:
        processors.append(TemperatureLogitsWarper(float(temperature)))
    if top_k > 0:
        processors.append(TopKLogitsWarper(int(top_k)))
    if top_p < 1.0:
        processors.append(TopPLogitsWarper(float(top_p)))
    return [*processors, _Draw(sampling.seed, model.device)]


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)


class _Draw:
    """Makes taking the likeliest token the same as drawing one by its probability, with a generator of its own.

    With Gumbel noise on the scores the largest one falls on each token with that token's probability.
    """

    def __init__(self, seed: int | None, device: Any) -> None:
        self._generator = torch.Generator(device=device)
        if seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(seed)

    def __call__(self, _input_ids: Any, scores: Any) -> Any:
        times = torch.empty_like(scores, dtype=torch.float32).exponential_(generator=self._generator)
        # The logarithm of 0 would make a number out of none for a token that was ruled out.
        return scores - times.clamp_min_(torch.finfo(torch.float32).tiny).log()
