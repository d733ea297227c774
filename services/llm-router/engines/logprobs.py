"""How likely tokens were, in the two forms that OpenAI's API has for it."""

from collections.abc import Sequence
from dataclasses import dataclass

from engines.openai_wire import Json, Kind


@dataclass(frozen=True)
class TokenLogprob:
    """A token that was chosen, the natural logarithm of its probability, and the likeliest tokens at its place."""

    token: str
    logprob: float
    likeliest: tuple[tuple[str, float], ...] = ()


def logprobs(kind: Kind, tokens: Sequence[TokenLogprob], offset: int = 0) -> Json:
    """The `logprobs` object of a choice. `offset` is the place in its text, in characters, where the tokens begin."""
    return _of_chat(tokens) if kind == "chat" else _of_text(tokens, offset)


def _of_chat(tokens: Sequence[TokenLogprob]) -> Json:
    content = [
        {
            **_entry(token.token, token.logprob),
            "top_logprobs": [_entry(text, logprob) for text, logprob in token.likeliest],
        }
        for token in tokens
    ]
    return {"content": content, "refusal": None}


def _entry(token: str, logprob: float) -> Json:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode(errors="replace"))}


def _of_text(tokens: Sequence[TokenLogprob], offset: int) -> Json:
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.token)
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [dict(token.likeliest) for token in tokens],
        "text_offset": offsets,
    }
