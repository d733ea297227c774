"""Takes a prompt apart: what it asks for, piece by piece, without the material that it brings along."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from orchestrator.domain.tasks import words

READ_CHARACTERS = 20_000
"""Only so much of a prompt is looked at: what somebody asks for stands near the front, and reading takes time."""

_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_QUOTED = re.compile(r"\"[^\"\n]{12,4000}\"|“[^“”\n]{12,4000}”|«[^«»\n]{12,4000}»|„[^„“\n]{12,4000}“")
_HEAD_END = re.compile(r": ?(?=\S)|:?\n+")
_MOST_HEAD_CHARACTERS = 300
_LINE_ITEM = re.compile(r"^(?:(?:step )?\(?(\d{1,2})[.):]|\(?[a-h]\)|[-*•–]) (\S.*)$", re.I | re.M)
_INLINE_MARK = re.compile(r"(?:(?<=\s)|(?<=^)|(?<=[:;,]))\(?(?:(\d{1,2})[.)]|([a-h])\)) (?=\S)")
_SPACES = re.compile(r"[^\S\n]+")
_EMPTY_LINES = re.compile(r" ?\n(?: ?\n)* ?")
_COMMA = re.compile(r",\s*(?:and\s+|or\s+)?|\s+(?:and|as well as)\s+")
_TRAILING = re.compile(r"[\s,;.]+$")


@dataclass(frozen=True)
class Piece:
    """One thing that is asked for. `follows` says that it comes after the one before it."""

    text: str
    is_question: bool
    follows: bool


@dataclass(frozen=True)
class Structure:
    """`text` is the prompt's own words; `brings_material` says that there was more, which is only to be worked on.

    `items` are the entries of its list, if they ask for something; `listed_in_order` that they are numbered.
    """

    text: str
    brings_material: bool
    items: tuple[Piece, ...]
    listed_in_order: bool

    @cached_property
    def clauses(self) -> tuple[Piece, ...]:
        """Instructions and questions outside of the list, in order."""
        outside = _without_items(self.text) if self.items else self.text
        return tuple(_pieces(outside))

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """What the prompt asks for: the entries of its list, or else its instructions and questions."""
        return self.items or self.clauses

    @cached_property
    def aspects(self) -> tuple[str, ...]:
        """The parts that one large work shall have: "covering A, B and C"."""
        if (match := words.ASPECTS.search(self.text)) is None:
            return ()
        parts = (_TRAILING.sub("", part) for part in _COMMA.split(match[1]))
        return tuple(part for part in parts if part)

    @property
    def in_order(self) -> bool:
        """Whether a piece builds on those before it: it does in running text and in a numbered list."""
        return self.listed_in_order or not self.items

    @property
    def word_count(self) -> int:
        return len(self.text.split())


def structure(prompt: str) -> Structure:
    """Takes `prompt` apart. Costs time in proportion to its length, and of a long one only the front is read."""
    read = prompt[:READ_CHARACTERS]
    own = _QUOTED.sub("[text]", _plainly_spaced(_CODE.sub("[code]", read)))
    head = _head(own)
    found = [] if head is not None else _items(own)
    asking = [piece for piece, _ in found if piece.is_question or words.INSTRUCTION.match(piece.text)]
    # A list of things, some of which look like verbs, is no list of instructions.
    items = tuple(piece for piece, _ in found) if found and len(asking) * 3 >= len(found) * 2 else ()
    return Structure(
        text=own if head is None else head,
        brings_material=head is not None or "[code]" in own or "[text]" in own,
        items=items,
        listed_in_order=bool(items) and all(numbered for _, numbered in found),
    )


def _plainly_spaced(text: str) -> str:
    """Single spaces and at most one empty line, which also keeps the patterns' time in proportion to the length."""
    return _EMPTY_LINES.sub(lambda gap: "\n\n" if gap[0].count("\n") > 1 else "\n", _SPACES.sub(" ", text)).strip()


def _head(own: str) -> str | None:
    """The request alone, where it is to do one thing with all the text that comes after it."""
    if not words.TRANSFORM.match(own):
        return None
    match = _HEAD_END.search(own)
    if match is None or match.start() > _MOST_HEAD_CHARACTERS:
        return None
    head = own[: match.start()]
    # "Review the text, then write a letter and finally …:" asks for more than one thing.
    return head if len(list(_pieces(head))) <= 1 else None


def _items(text: str) -> list[tuple[Piece, bool]]:
    """The entries of a list with whether each is numbered: one to a line, or numbered within a line."""
    lines = [(match[2], match[1] is not None) for match in _LINE_ITEM.finditer(text)]
    if len(lines) < 2:
        lines = [(entry, True) for entry in _inline(text)]
    return [(_piece(entry), numbered) for entry, numbered in lines] if len(lines) > 1 else []


def _inline(text: str) -> list[str]:
    marks: list[re.Match[str]] = []
    for mark in _INLINE_MARK.finditer(text):
        if (int(mark[1]) if mark[1] else ord(mark[2]) - ord("a") + 1) == len(marks) + 1:
            marks.append(mark)
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    return [text[mark.end() : end] for mark, end in zip(marks, ends, strict=False)]


def _without_items(text: str) -> str:
    without = _LINE_ITEM.sub("", text)
    if without != text:
        return without
    first = _INLINE_MARK.search(text)
    return text if first is None else text[: first.start()]


def _pieces(text: str) -> Iterator[Piece]:
    before = ""
    for clause in words.CLAUSE_END.split(text):
        if clause and words.ORDER_ALONE.fullmatch(clause):
            before = f"{clause}, "  # "Next, choose one" was split at its comma.
        elif clause and (clause.rstrip().endswith("?") or words.INSTRUCTION.match(clause)):
            yield _piece(before + clause)
            before = ""


def _piece(text: str) -> Piece:
    stripped = text.strip().rstrip(",;")
    return Piece(stripped, stripped.endswith("?"), words.ORDERED.match(stripped.lstrip("\"'(*-# ")) is not None)
