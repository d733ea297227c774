"""What the model is told: the system prompts of role and profile, the task, and what earlier steps found out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from contracts.router import ChatMessage

_MOST_RESULT_CHARACTERS = 12_000
"""Of one earlier result: a model's context is small, and the beginning says most."""
_CUT = "\n[…]"


def system_prompt(role: str, profile: str) -> str:
    """Who answers, then how."""
    return "\n\n".join(filter(None, (role.strip(), profile.strip())))


def direct(system: str, prompt: str) -> list[ChatMessage]:
    """The prompt as it is."""
    return list(_messages(system, prompt))


def of_step(system: str, prompt: str, instruction: str, results: Sequence[Mapping[str, Any]]) -> list[ChatMessage]:
    """One step of a plan. `results` are the outputs of the steps that came before, earliest first."""
    parts = [f"The whole task:\n\n{prompt}"]
    parts += [
        f"Result of {result['name']} ({_line(result['instruction'])}):\n\n{_cut(result['text'])}" for result in results
    ]
    parts.append(f"Your part now, and nothing else:\n\n{instruction}")
    return list(_messages(system, "\n\n---\n\n".join(parts)))


def _messages(system: str, content: str) -> Iterator[ChatMessage]:
    if system:
        yield ChatMessage(role="system", content=system)
    yield ChatMessage(role="user", content=content)


def _line(instruction: str) -> str:
    return " ".join(instruction.split())


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_RESULT_CHARACTERS else text[:_MOST_RESULT_CHARACTERS] + _CUT
