"""The text of a simulated answer: the same prompt gets the same words, and they say that no model ran."""

import json
import re
import zlib
from dataclasses import dataclass

from engines.openai_wire import FinishReason, Json
from engines.simulated.structured import instance

_SPACED = re.compile(r"\s*\S+")
_ECHOED_WORDS = 8
_SHORTEST, _LONGEST = 24, 64
"""Tokens of an answer that nothing cuts short, chosen by the prompt."""

_FILLER = (
    " These words were picked by a checksum of the prompt, so that the same prompt gets the same answer every time."
    " They carry no meaning beyond their number and their pace, which is what tests and benchmarks need of them."
    " Point the platform at a real engine to have a language model answer instead."
)


def count_tokens(text: str) -> int:
    """Tokens of `text` as this engine counts them: its words."""
    return len(text.split())


@dataclass(frozen=True)
class Reply:
    """A whole answer, token by token. Joined they are its text."""

    tokens: list[str]
    reason: FinishReason
    prompt_tokens: int
    tool_calls: list[Json] | None = None

    @property
    def text(self) -> str:
        return "".join(self.tokens)


@dataclass(frozen=True)
class Cut:
    """Where an answer ends: after `limit` tokens if given, or before the first of `stops`.

    With `ignore_end` the limit is reached even if the answer would have been shorter.
    """

    limit: int | None = None
    stops: tuple[str, ...] = ()
    ignore_end: bool = False


class Author:
    """Writes the answers of one engine. A token is a word with the space before it."""

    def __init__(self, name: str) -> None:
        self._opening = _words(f"[simulated] {name} received a prompt of")
        self._filler = _words(_FILLER)
        # Twice over, so that an answer of ordinary length is one slice from wherever it starts.
        self._turning = self._filler * 2

    def write(self, prompt: str, echo: str, cut: Cut, prompt_tokens: int | None = None, *, choice: int = 0) -> Reply:
        """Answers `prompt`, quoting the first words of `echo`, the part of the prompt that a person wrote last.

        Another `choice` goes on with other words.
        """
        counted = count_tokens(prompt) if prompt_tokens is None else prompt_tokens
        quoted = " ".join(echo.split(maxsplit=_ECHOED_WORDS)[:_ECHOED_WORDS])
        said = [*self._opening, *_words(f' {counted} tokens, "{quoted}"; no language model ran.')]
        checksum = zlib.crc32(prompt.encode(errors="surrogatepass")) + choice
        natural = _SHORTEST + checksum % (_LONGEST - _SHORTEST)
        wanted = cut.limit if cut.ignore_end and cut.limit is not None else max(natural, len(said))
        said += self._continued(checksum, wanted - len(said))
        reason: FinishReason = "stop"
        if cut.limit is not None and (len(said) > cut.limit or cut.ignore_end):
            said, reason = said[: cut.limit], "length"
        if cut.stops:
            said, reason = _before_stop(said, cut.stops, reason)
        return Reply(said, reason, counted)

    def fill_in(self, schema: Json, prompt: str, cut: Cut) -> Reply:
        """Answers with JSON of `schema`, whose texts say that they are simulated."""
        tokens = _SPACED.findall(json.dumps(instance(schema), indent=2, ensure_ascii=False))
        if cut.limit is not None and len(tokens) > cut.limit:
            return Reply(tokens[: cut.limit], "length", count_tokens(prompt))
        return Reply(tokens, "stop", count_tokens(prompt))

    def _continued(self, checksum: int, count: int) -> list[str]:
        start = checksum % len(self._filler)
        if count <= len(self._filler):
            return self._turning[start : start + max(count, 0)]
        turns = count // len(self._filler) + 2
        return (self._filler * turns)[start : start + count]


def _words(text: str) -> list[str]:
    """The words of `text`, each with the space before it, so that they join to `text` with single spaces."""
    first, *rest = text.split()
    return [(" " + first) if text[0] == " " else first, *(" " + word for word in rest)]


def _before_stop(tokens: list[str], stops: tuple[str, ...], reason: FinishReason) -> tuple[list[str], FinishReason]:
    text = "".join(tokens)
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    if not places:
        return tokens, reason
    left, kept = min(places), []
    for token in tokens:
        if left <= 0:
            break
        kept.append(token[:left])
        left -= len(token)
    return kept, "stop"
