"""Completions in the format that was asked for, also from engines that do not keep to one by themselves.

There the format is asked for in words, the answer is validated, and a wrong one is sent back once to be put right.
"""

from collections.abc import AsyncGenerator
from dataclasses import replace

from contracts.router import Chat, Choice, Usage
from llm_router.domain.engines import Answer, Delta, Question
from llm_router.domain.structure import Structure, Unfit, corrected, format_not_kept, instructed, structure_of
from llm_router.engine.protocol import Engine


async def complete(engine: Engine, question: Question, model: str) -> Answer:
    """As the engine's own, with the format kept. Raises `EngineFailure`: FORMAT when it is not, twice."""
    if (structure := _left_to_us(engine, question)) is None:
        return await engine.complete(question, model)
    assert isinstance(question, Chat)  # noqa: S101 - texts have no format
    chat = instructed(question, structure)
    answers = [await _fitting(engine, chat, structure, model) for _ in range(question.choices_asked)]
    return _together(answers)


def stream(engine: Engine, question: Question, model: str) -> AsyncGenerator[Delta | Answer, None]:
    """As the engine's own. An answer that has to be validated comes in one piece."""
    if _left_to_us(engine, question) is None:
        return engine.stream(question, model)
    return _whole_as_stream(engine, question, model)


def _left_to_us(engine: Engine, question: Question) -> Structure | None:
    if not isinstance(question, Chat) or question.response_format is None or engine.keeps_format:
        return None
    return structure_of(question)


async def _whole_as_stream(engine: Engine, question: Question, model: str) -> AsyncGenerator[Delta | Answer, None]:
    answer = await complete(engine, question, model)
    yield Delta(answer.content, answer.tool_calls, extra=answer.extra)
    for index, other in enumerate(answer.others, 1):
        yield Delta(other.content, other.tool_calls, index, extra=other.extra)
    yield answer


async def _fitting(engine: Engine, chat: Chat, structure: Structure, model: str) -> Answer:
    first = await engine.complete(chat, model)
    try:
        return _read(first, structure)
    except Unfit as unfit:
        second = await engine.complete(corrected(chat, first.content, str(unfit)), model)
    try:
        return replace(_read(second, structure), usage=_sum([first.usage, second.usage]))
    except Unfit as unfit:
        raise format_not_kept(str(unfit)) from None


def _read(answer: Answer, structure: Structure) -> Answer:
    return answer if answer.tool_calls else replace(answer, content=structure.read(answer.content))


def _together(answers: list[Answer]) -> Answer:
    first, *others = answers
    choices = tuple(
        Choice(content=one.content, tool_calls=one.tool_calls, finish_reason=one.finish_reason, extra=one.extra)
        for one in others
    )
    return replace(first, others=choices, usage=_sum([answer.usage for answer in answers]))


def _sum(usages: list[Usage]) -> Usage:
    prompt = sum(usage.prompt_tokens for usage in usages)
    completion = sum(usage.completion_tokens for usage in usages)
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)
