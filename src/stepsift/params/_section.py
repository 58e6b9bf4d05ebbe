"""What all sections of params.yaml share: a frozen model, and types of values."""

from collections import Counter
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Text = Annotated[str, Field(min_length=1)]


def some_distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """As `distinct`, and raises ValueError where there is no value at all."""
    # Not `min_length`: pydantic counts what it could read, and would call [-1] empty.
    if not values:
        raise ValueError("must not be empty")
    return distinct(values)


def distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values, if each stands once; raises ValueError with the first that stands more than once."""
    counts = Counter(map(repr, values))
    twice = [v for v in values if counts[repr(v)] > 1]
    if twice:
        raise ValueError(f"'{twice[0]}' stands more than once; name each once")
    return values


class Section(BaseModel):
    """A section of params.yaml: frozen, unknown keys refused, a docstring with its unit under each field."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _number_not_bool(cls, value: object, info: ValidationInfo) -> object:
        # pydantic reads true as 1.
        if isinstance(value, bool) and _is_numeric(cls.model_fields[str(info.field_name)].annotation):
            raise ValueError("must be a number")
        return value


def _is_numeric(annotation: object) -> bool:
    return annotation in (int, float) or any(_is_numeric(part) for part in get_args(annotation))
