"""Vectors of texts: the mean of a model's last hidden states over the tokens, of length one."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from engines.local.loading import Weights
from engines.local.prompts import Prompt, encode
from engines.openai_wire import context_length_exceeded


@dataclass(frozen=True)
class Embedded:
    """One vector for each prompt, and how many tokens were read for them."""

    vectors: list[list[float]]
    tokens: int


def embed(weights: Weights, prompts: Sequence[Prompt], cancelled: threading.Event) -> Embedded:
    """Blocks. Stops at the next prompt once `cancelled` is set. Raises ApiError (400) for a prompt that does not fit.

    One prompt at a time: padding them to one length would cost a CPU what a batch saves it.
    """
    vectors, tokens = [], 0
    for prompt in prompts:
        if cancelled.is_set():
            break
        ids = encode(prompt, weights.tokenizer)
        if len(ids) > weights.context_length:
            raise context_length_exceeded(len(ids), weights.context_length)
        vectors.append(_mean_state(weights.model, ids))
        tokens += len(ids)
    return Embedded(vectors, tokens)


def _mean_state(model: Any, ids: Sequence[int]) -> list[float]:
    with torch.inference_mode():
        # The model below the head: its hidden states are all that is wanted.
        output = model.base_model(torch.tensor([list(ids)], device=model.device))
        mean = output.last_hidden_state[0].float().mean(dim=0)
        vector: list[float] = torch.nn.functional.normalize(mean, dim=0).tolist()
    return vector
