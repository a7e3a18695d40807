"""Holds replies against the models of Microsoft's own SDK, read by its own JSON reader.

    message = parsed(reply, Message)

Besides reading without complaint it is demanded that the model knows every field: what it does not know it keeps aside
under `additional_data`, where only annotations (`@odata.…`) may be.
"""

import json
import warnings
from collections.abc import Iterator
from typing import Any, TypeVar

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # What the SDK's dependencies warn of is no business of ours.
    from kiota_abstractions.serialization import Parsable
    from kiota_serialization_json.json_parse_node import JsonParseNode

P = TypeVar("P", bound=Parsable)


def parsed(reply: Any, model: type[P]) -> P:
    """Read a reply into a model; raises AssertionError for a field that the model does not have."""
    node = JsonParseNode(json.loads(json.dumps(reply)))
    found: P | None = node.get_object_value(model)
    assert found is not None
    strangers = list(_strangers(found, model.__name__))
    assert not strangers, strangers
    return found


def _strangers(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, list):
        for at, one in enumerate(value):
            yield from _strangers(one, f"{where}[{at}]")
    elif hasattr(value, "get_field_deserializers"):
        for name, one in vars(value).items():
            if name == "additional_data":
                yield from (f"{where}.{key}" for key in one if "@" not in key)
            elif name != "backing_store":
                yield from _strangers(one, f"{where}.{name}")
