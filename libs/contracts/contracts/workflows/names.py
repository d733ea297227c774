"""What blocks, payloads and workflows have in common: their names, bounds and versions."""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, StringConstraints, model_serializer

from contracts.base import Message, RefusalCode, Timestamp

Title = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"\S")]

Content = Annotated[
    str,
    StringConstraints(max_length=200_000),
    Field(
        description=(
            "Text. `{name}` is replaced by the response of the earlier payload, or the run's input, of that name, and"
            " stays as it is where there is none; `{{name}}` is the text `{name}`. Nothing is evaluated."
        )
    ),
]

Tags = Annotated[str, StringConstraints(max_length=2000), Field(description="With commas between them")]

FolderPath = Annotated[str, StringConstraints(max_length=1000), Field(description="With slashes between folders")]

Port = Annotated[int, Field(ge=1, le=65535)]
"""Names a registered LLM instance."""

VARIABLE_NAME = r"[^\W\d][\w .'-]{0,199}"
"""What may stand in braces: a letter or an underscore first. Payloads with other names are asked for by number."""

InputName = Annotated[str, StringConstraints(pattern=rf"^{VARIABLE_NAME}$")]

ModelFormat = Literal["chat", "mistral", "llama", "llama3", "chatml", "alpaca", "vicuna", "gemma", "phi", "raw"]
"""How a prompt is written for its model: `chat` leaves it to the engine's own template, `raw` sends the text alone."""

MOST_BLOCKS = 100

MOST_PAYLOADS = 200

LONGEST_PROMPT = 1_000_000
"""Characters of all blocks of a payload together."""

USUAL_ITEMS_AT_ONCE = 8


class Change(Message):
    """Changes the given fields. Only those travel, so that null, which takes an option away, can be told from them."""

    @model_serializer(mode="wrap")
    def _given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if name in self.model_fields_set}


class NumberedVersion(Message):
    """When a definition became what it is now, or was then."""

    version: int
    created_at: Timestamp


Version = Annotated[int, Field(ge=1, le=2**31 - 1)]

UNKNOWN = (RefusalCode.NOT_FOUND,)
CREATED = (RefusalCode.INVALID,)
CHANGED = (RefusalCode.NOT_FOUND, RefusalCode.INVALID, RefusalCode.CONFLICT)
DELETED = (RefusalCode.NOT_FOUND, RefusalCode.CONFLICT)
"""Why what is asked of a definition may be refused."""
