"""What an answer is worth beside its reference, in the measures that the field compares models by."""

import re
import string
from collections import Counter
from collections.abc import Sequence

from contracts.pipeline import Confusion

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_WORD = re.compile(r"[^\W_]+")
_LONGEST = 2000
"""Words of a text that ROUGE-L looks at: its time grows with the product of both lengths."""

_FEW_LABELS, _SHORT_LABEL = 20, 64


def exact_match(answer: str, reference: str) -> float:
    """1 when both are the same but for case, punctuation, articles and spaces: SQuAD's measure."""
    return float(_normalised(answer) == _normalised(reference))


def token_f1(answer: str, reference: str) -> float:
    """The harmonic mean of precision and recall over words, SQuAD's measure; two empty texts agree."""
    said, wanted = _normalised(answer).split(), _normalised(reference).split()
    if not said or not wanted:
        return float(said == wanted)
    return _f(sum((Counter(said) & Counter(wanted)).values()), len(said), len(wanted))


def rouge_l(answer: str, reference: str) -> float:
    """The F measure of the longest common subsequence of words (Lin 2004), without stemming; 0 for an empty text."""
    said, wanted = (_WORD.findall(text.lower())[:_LONGEST] for text in (answer, reference))
    return _f(_common_subsequence(said, wanted), len(said), len(wanted)) if said and wanted else 0.0


def labels_among(completions: Sequence[str]) -> list[str] | None:
    """The labels, if that is what the completions are: few, short, and each repeated on average; sorted."""
    labels = sorted({completion.strip() for completion in completions})
    few = 2 <= len(labels) <= _FEW_LABELS and 3 * len(labels) <= len(completions)
    short = all(0 < len(label) <= _SHORT_LABEL and "\n" not in label for label in labels)
    return labels if few and short else None


def label_of(answer: str, labels: Sequence[str]) -> int:
    """The number of the label that the answer is, or begins with; `len(labels)` when it is none of them."""
    said = answer.strip().casefold()
    known = [label.strip().casefold() for label in labels]
    if said in known:
        return known.index(said)
    # What goes on after its label is no other label; of `not` and `not spam` the longer is meant.
    begun = [label for label in known if re.match(rf"{re.escape(label)}(?!\w)", said)]
    return known.index(max(begun, key=len)) if begun else len(labels)


def confusion(labels: Sequence[str], truths: Sequence[int], answers: Sequence[int]) -> Confusion:
    """`truths` and `answers` are numbers of labels; an answer of `len(labels)` is none of them."""
    counts = [[0] * (len(labels) + 1) for _ in labels]
    for truth, answer in zip(truths, answers, strict=True):
        counts[truth][answer] += 1
    return Confusion(labels=list(labels), counts=counts)


def macro_f1(counts: Sequence[Sequence[int]]) -> float:
    """The mean F1 over the labels that are true of a row or answered; of others nothing can be said."""
    scores = []
    for index, row in enumerate(counts):
        answered = sum(other[index] for other in counts)
        if answered or sum(row):
            scores.append(2 * row[index] / (answered + sum(row)))
    return sum(scores) / len(scores)


def _normalised(text: str) -> str:
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _f(common: int, said: int, wanted: int) -> float:
    return 2 * common / (said + wanted)


def _common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    lengths = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for index, other in enumerate(second, start=1):
            above = lengths[index]
            lengths[index] = diagonal + 1 if word == other else max(above, lengths[index - 1])
            diagonal = above
    return lengths[-1]
