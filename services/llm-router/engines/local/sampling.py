"""How the next token is chosen: what changes a model's scores before the largest is taken."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import TemperatureLogitsWarper, TopKLogitsWarper
from transformers.generation import TopPLogitsWarper

from engines.logprobs import TokenLogprob
from engines.openai_wire import ApiError, Json


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
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    json_schema: Json | None = None
    """What the answer must be JSON of."""
    likeliest: int | None = None
    """How many of the likeliest tokens to tell at each place, besides the chosen one; None: tell nothing."""


class Scores:
    """Looks at what the model itself made of each place, before anything changes it. Put it before all processors."""

    def __init__(self, tokenizer: Any, likeliest: int) -> None:
        self._tokenizer = tokenizer
        self._likeliest = likeliest
        self._scores: Any = None

    def __call__(self, _input_ids: Any, scores: Any) -> Any:
        self._scores = scores[0].clone().float()
        return scores

    def of(self, token: int) -> TokenLogprob:
        """The token that was chosen last."""
        logprobs = torch.log_softmax(self._scores, dim=-1)
        best = torch.topk(logprobs, self._likeliest)
        likeliest = [
            (self._text(int(one)), float(logprob))
            for one, logprob in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
        return TokenLogprob(self._text(token), float(logprobs[token]), tuple(likeliest))

    def _text(self, token: int) -> str:
        text: str = self._tokenizer.decode([token], clean_up_tokenization_spaces=False)
        return text


def processors_of(sampling: Sampling, model: Any, prompt_length: int) -> list[Any]:
    """What changes the scores before the likeliest token is taken. Raises ApiError (400) for unknown tokens."""
    defaults = model.generation_config
    temperature = _first(sampling.temperature, defaults.temperature, 1.0)
    top_k = _first(sampling.top_k, defaults.top_k, 0)
    top_p = _first(sampling.top_p, defaults.top_p, 1.0)
    processors: list[Any] = []
    if sampling.logit_bias:
        processors.append(_Bias(sampling.logit_bias, model))
    if sampling.frequency_penalty or sampling.presence_penalty:
        processors.append(_Penalty(sampling.frequency_penalty, sampling.presence_penalty, prompt_length))
    if temperature == 0:
        return processors
    if temperature != 1.0:
        processors.append(TemperatureLogitsWarper(float(temperature)))
    if top_k > 0:
        processors.append(TopKLogitsWarper(int(top_k)))
    if top_p < 1.0:
        processors.append(TopPLogitsWarper(float(top_p)))
    return [*processors, _Draw(sampling.seed, model.device)]


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)


class _Bias:
    """Adds to the scores of single tokens."""

    def __init__(self, bias: Mapping[int, float], model: Any) -> None:
        size = model.config.get_text_config().vocab_size
        if any(not 0 <= token < size for token in bias):
            raise ApiError(400, f"Tokens are numbers from 0 to {size - 1}.", param="logit_bias")
        self._tokens = torch.tensor(list(bias), device=model.device)
        self._added = torch.tensor(list(bias.values()), device=model.device)

    def __call__(self, _input_ids: Any, scores: Any) -> Any:
        return scores.index_add(1, self._tokens, self._added.to(scores.dtype)[None])


class _Penalty:
    """Takes from the scores of tokens that the answer has already, once and for each time, as OpenAI's API says."""

    def __init__(self, frequency: float, presence: float, prompt_length: int) -> None:
        self._frequency = frequency
        self._presence = presence
        self._prompt_length = prompt_length

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        counts = torch.bincount(input_ids[0, self._prompt_length :], minlength=scores.shape[1])
        return scores - self._frequency * counts - self._presence * (counts > 0)


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
