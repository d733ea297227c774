"""From tokens to text while they arrive: no broken characters, and nothing of a stop text."""

from typing import Any

_REPLACEMENT = "\ufffd"


class IncrementalDecoder:
    """Decodes tokens one by one. The pieces join to what decoding all tokens at once gives.

    A token may hold a part of a character, and how a word begins may depend on the token before it. So each step
    decodes a window of tokens again, from the last one that ended a character, and gives what is new and complete.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._window: list[int] = []
        self._context = 0
        """Tokens at the start of the window whose text was given before, there only for those that follow."""
        self._given = 0
        """Characters of the window's text that were given."""

    def push(self, token: int) -> str:
        """The text that `token` completes, often none."""
        self._window.append(token)
        text = self._text(self._window)
        # Bytes that are no character yet show as replacements at the end, and may become one.
        complete = text.rstrip(_REPLACEMENT)
        piece = complete[self._given :]
        self._given = max(self._given, len(complete))
        if len(complete) == len(text):
            self._move_on()
        return piece

    def flush(self) -> str:
        """What is left at the end: bytes that never became a character."""
        piece = self._text(self._window)[self._given :]
        self._given += len(piece)
        return piece

    def _move_on(self) -> None:
        self._window = self._window[self._context :]
        self._context = len(self._window)
        self._given = len(self._text(self._window))

    def _text(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


class StopMatcher:
    """Ends the text before the first of `stops`, however it is cut into pieces."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self.matched = False

    def push(self, piece: str) -> str:
        """The text that can be given now. What may be the beginning of a stop text is held back."""
        text = self._held + piece
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.matched, self._held = True, ""
            return text[: min(places)]
        keep = self._length_of_beginning(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """What was held back and turned out to be no stop text."""
        text, self._held = self._held, ""
        return text

    def _length_of_beginning(self, text: str) -> int:
        longest = min(max(map(len, self._stops), default=1) - 1, len(text))
        for length in range(longest, 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0
