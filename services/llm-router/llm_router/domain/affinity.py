"""Which engines have seen the beginning of a prompt: they may still hold its keys and values, and answer sooner."""

from collections import OrderedDict
from collections.abc import Collection, Sequence

from contracts.router import Chat
from llm_router.domain.engines import Asked

_SHORTEST = 2_000
"""Characters: a shorter beginning is computed again sooner than a busier engine answers."""
_MOST_KEYS = 8
_MOST_HOLDERS = 4
_TEXT_STEP = 4


def prefix_keys(asked: Asked, model: str) -> tuple[int, ...]:
    """Names of the prompt's beginnings, the longest first; of a conversation at the ends of its messages.

    Only the last few and the first are named: the next question of the conversation begins with one of them.
    """
    if isinstance(asked, Chat):
        parts = [f"{message.role}\n{message.content}" for message in asked.messages]
    elif isinstance(prompt := getattr(asked, "prompt", None), str):
        parts = _text_parts(prompt)
    else:
        return ()
    keys, key, length = [], hash(model), 0
    for part in parts:
        key = hash((key, part))
        length += len(part)
        if length >= _SHORTEST:
            keys.append(key)
    kept = keys if len(keys) <= _MOST_KEYS else [keys[0], *keys[1 - _MOST_KEYS :]]
    return tuple(reversed(kept))


def _text_parts(text: str) -> list[str]:
    """A text cut at growing places, so that two with the same beginning share keys."""
    parts, start, end = [], 0, _SHORTEST
    while start < len(text):
        parts.append(text[start:end])
        start, end = end, end * _TEXT_STEP
    return parts


class Prefixes:
    """The engines that were last given a beginning, for the `capacity` beginnings that were seen last."""

    def __init__(self, capacity: int = 50_000) -> None:
        self._capacity = capacity
        self._holders: OrderedDict[int, tuple[str, ...]] = OrderedDict()

    def holders(self, keys: Sequence[int]) -> Collection[str]:
        """The engines that have seen the longest known beginning."""
        return next((known for key in keys if (known := self._holders.get(key))), ())

    def note(self, keys: Sequence[int], engine: str) -> None:
        """The engine is given a prompt with these beginnings."""
        for key in keys:
            others = tuple(name for name in self._holders.get(key, ()) if name != engine)
            self._holders[key] = (engine, *others[: _MOST_HOLDERS - 1])
            self._holders.move_to_end(key)
        while len(self._holders) > self._capacity:
            self._holders.popitem(last=False)
