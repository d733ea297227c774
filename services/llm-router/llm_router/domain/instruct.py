"""A conversation as one text, for engines that go on with a text and know no roles.

The form is Alpaca's, which KoboldAI's clients and KoboldCpp's own chat adapter use where nothing else is said.
"""

from collections.abc import Sequence
from typing import Any

from contracts.router import Chat, ChatMessage
from llm_router.domain.failures import EngineFailure, FailureKind

_INSTRUCTION = "\n### Instruction:\n"
_RESPONSE = "\n### Response:\n"
STOPS = ("\n### Instruction:", "\n### Response:")
"""Where the model would go on with a turn that is not its own."""

_MEANINGLESS: dict[str, tuple[Any, ...]] = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "logprobs": (False, 0),
    "top_logprobs": (0,),
}
"""Fields that change an answer and cannot be told to a text engine, with the values that ask for nothing."""


def instruct_prompt(chat: Chat) -> str:
    """The text that the model is to go on with. Raises `EngineFailure(INVALID_REQUEST)` for what is no text."""
    refuse_beyond_text(chat.extra)
    turns = [_turn(message) for message in chat.messages]
    # An assistant's turn at the end is one to go on with.
    opening = "" if chat.messages[-1].role == "assistant" else _RESPONSE
    return "".join(turns).lstrip("\n") + opening


def refuse_beyond_text(extra: dict[str, Any]) -> None:
    """Raises `EngineFailure(INVALID_REQUEST)` for fields that would change the answer if the engine knew them."""
    for name, values in _MEANINGLESS.items():
        if (value := extra.get(name)) is not None and value not in values:
            raise EngineFailure(FailureKind.INVALID_REQUEST, f"A KoboldAI engine does not support {name}")


def _turn(message: ChatMessage) -> str:
    if message.role == "tool" or message.tool_calls:
        raise EngineFailure(FailureKind.INVALID_REQUEST, "A KoboldAI engine does not support tools")
    text = _text(message)
    if message.role in ("system", "developer"):
        return f"\n{text}\n"
    return f"{_RESPONSE if message.role == 'assistant' else _INSTRUCTION}{text}"


def _text(message: ChatMessage) -> str:
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    parts = []
    for part in message.content:
        if part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = part.get("type", "part")
            raise EngineFailure(FailureKind.INVALID_REQUEST, f"A KoboldAI engine takes text only, no {kind}")
        parts.append(part["text"])
    return "\n".join(parts)


class StopCut:
    """Cuts a streamed text before the first of `stops`, which may arrive in pieces."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.stopped = False

    def feed(self, piece: str) -> str:
        """What can be passed on: nothing that might yet turn out to be the beginning of a stop."""
        if self.stopped:
            return ""
        text = self._held + piece
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        held = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def rest(self) -> str:
        """What was held back, once nothing more comes."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a beginning of `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
