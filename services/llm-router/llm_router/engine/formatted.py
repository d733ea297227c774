"""Completions in the format that was asked for, also from engines that do not keep to one by themselves.

There the format is asked for in words, the answer is validated, and a wrong one is sent back once to be put right. An
engine that perhaps knows formats is asked in its own way first, and in words where nothing came of that.
"""

from collections.abc import AsyncGenerator, Awaitable
from dataclasses import replace

from contracts.router import Chat, Choice, Usage, chat_delta
from llm_router.domain.engines import Answer, Question
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.domain.structure import Structure, Unfit, corrected, format_not_kept, instructed, structure_of
from llm_router.engine.protocol import Engine, Pieces


def complete(engine: Engine, question: Question, model: str) -> Awaitable[Answer]:
    """As the engine's own, with the format kept. Raises `EngineFailure`: FORMAT when it is not, twice."""
    if not isinstance(question, Chat) or question.response_format is None or engine.keeps_format == "always":
        return engine.complete(question, model)
    if engine.keeps_format == "perhaps":
        return _perhaps_kept(engine, question, model)
    if (structure := structure_of(question)) is None:
        return engine.complete(question, model)
    return _in_words(engine, question, structure, model)


def stream(engine: Engine, question: Question, model: str) -> AsyncGenerator[Pieces | Answer, None]:
    """As the engine's own. An answer that has to be validated comes in one piece; one that perhaps had to, as it is."""
    if (
        not isinstance(question, Chat)
        or question.response_format is None
        or engine.keeps_format != "never"
        or structure_of(question) is None
    ):
        return engine.stream(question, model)
    return _whole_as_stream(engine, question, model)


async def _perhaps_kept(engine: Engine, chat: Chat, model: str) -> Answer:
    try:
        structure = structure_of(chat)
    except EngineFailure:
        # The engine may know more formats than we do.
        structure = None
    try:
        first = await engine.complete(chat, model)
    except EngineFailure as failure:
        if structure is None or failure.kind is not FailureKind.INVALID_REQUEST or "format" not in failure.message:
            raise
        return await _in_words(engine, chat, structure, model)
    if structure is None or first.others or not _is_finished(first):
        return first
    try:
        return _read(first, structure)
    except Unfit as unfit:
        return await _put_right(engine, instructed(chat, structure), structure, model, first, unfit)


def _is_finished(answer: Answer) -> bool:
    """Neither cut off nor refused, which an engine tells in its own way."""
    return answer.finish_reason in (None, "stop") and not answer.extra.get("refusal")


async def _in_words(engine: Engine, question: Chat, structure: Structure, model: str) -> Answer:
    chat = instructed(question, structure)
    return _together([await _fitting(engine, chat, structure, model) for _ in range(question.choices_asked)])


async def _whole_as_stream(engine: Engine, question: Question, model: str) -> AsyncGenerator[Pieces | Answer, None]:
    answer = await complete(engine, question, model)
    choices: tuple[Answer | Choice, ...] = (answer, *answer.others)
    yield [
        chat_delta(index, choice.content, choice.tool_calls, extra=choice.extra) for index, choice in enumerate(choices)
    ]
    yield answer


async def _fitting(engine: Engine, chat: Chat, structure: Structure, model: str) -> Answer:
    first = await engine.complete(chat, model)
    try:
        return _read(first, structure)
    except Unfit as unfit:
        return await _put_right(engine, chat, structure, model, first, unfit)


async def _put_right(
    engine: Engine, chat: Chat, structure: Structure, model: str, first: Answer, unfit: Unfit
) -> Answer:
    """A second answer to `chat`, after the first one and what was wrong with it."""
    second = await engine.complete(corrected(chat, first.content, str(unfit)), model)
    try:
        return replace(_read(second, structure), usage=_sum([first.usage, second.usage]))
    except Unfit as again:
        raise format_not_kept(str(again)) from None


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
