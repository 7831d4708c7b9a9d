"""The form of contract.json: what `trt-asr contract check` asks of it, before a graph is written.

The relations between fields hold by the way contract.py makes them, and config.py refuses the numbers that would break the others.
"""

from functools import cache

import fastjsonschema

from .errors import ExportError
from .generated import CONTRACT_SCHEMA

# Fields that a user sets by an option; every other one comes from the checkpoint.
OPTIONS = {"model.name": "--name", "model.languages": "--language", "model.license": "--license"}
SHOWN_CHARACTERS = 80


@cache
def _validator():
    return fastjsonschema.compile(CONTRACT_SCHEMA, use_default=False)


def check_form(contract: dict) -> None:
    """Raises ExportError naming the option or the field when `contract`, with or without `files`, breaks contracts/schema.json."""
    try:
        _validator()(contract)
    except fastjsonschema.JsonSchemaValueException as error:
        path = error.path[1:]
        option = OPTIONS.get(".".join(path[:2]))
        field = option or (f"{'.'.join(path)} of contract.json" if path else "contract.json")
        remedy = "Pass another" if option else "trt-asr holds no model with such a number; check model_config.yaml"
        shown = repr(error.value)[:SHOWN_CHARACTERS]
        rule = error.message.removeprefix(error.name).strip()
        raise ExportError(field, f"a value that {rule}", shown, remedy) from error
