"""What all answers have in common: they are read leniently, so that a client outlives the platform's next version."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, ValidatorFunctionWrapHandler, WrapValidator


class Record(BaseModel):
    """An answer. Fields that only newer platforms send are kept as they are."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        protected_namespaces=(),
        defer_build=True,
        validate_by_name=True,
        validate_by_alias=True,
    )


def _or_newer(value: Any, known: ValidatorFunctionWrapHandler) -> Any:
    try:
        return known(value)
    except ValidationError:
        if isinstance(value, str):
            return value
        raise


OrNewer = WrapValidator(_or_newer)
"""Of a choice of words: one that only newer platforms know is kept as it is."""
