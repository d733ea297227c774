"""What the router is asked for a payload of a run."""

from contracts.instances import model_at
from contracts.router import Chat, ChatMessage, TextCompletion
from contracts.workflows import PayloadSnapshot
from orchestrator.domain.workflows.formats import formatted, stops

ROUTE = "workflow"


def question(payload: PayloadSnapshot, prompt: str, port: int) -> Chat | TextCompletion:
    """The rendered prompt for the instance on `port`: as a chat, or as the text of the payload's format."""
    model = model_at(port, payload.model)
    if payload.model_format == "chat":
        return Chat(
            model=model,
            messages=[ChatMessage(role="user", content=prompt)],
            temperature=payload.temperature,
            max_tokens=payload.response_length,
            route=ROUTE,
        )
    return TextCompletion(
        model=model,
        prompt=formatted(prompt, payload.model_format),
        temperature=payload.temperature,
        max_tokens=payload.response_length,
        stop=stops(payload.model_format) or None,
        route=ROUTE,
    )
