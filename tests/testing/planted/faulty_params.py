"""Params models, each with one fault."""

from collections.abc import Callable
from typing import Annotated

from pydantic import ConfigDict, Field, GetPydanticSchema
from pydantic_core import core_schema

from ganforge.plugin import Params


class Unplain(Params):
    layer: Callable[[], int] | None = None
    """Code."""


class Undescribed(Params):
    width: int = 1


class Required(Params):
    width: int = Field(ge=1)
    """Given neither by default nor by check_params."""


class Unlowered(Params):
    width: Annotated[int, GetPydanticSchema(lambda source, handler: core_schema.no_info_plain_validator_function(int))] = 1
    """Judged by a function that tells no schema."""


class Lenient(Params):
    model_config = ConfigDict(extra="ignore")
