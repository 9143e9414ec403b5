"""What the groups of settings are made of."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

_ADDRESS = re.compile(r"(?P<host>[^\s:/\[\]]*|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_MAX_PORT = 65535


def split_address(address: str) -> tuple[str, int]:
    """Read ``HOST:PORT``: the host without brackets, empty for every interface, and the port in [0, 65535].

    An IPv6 address stands in brackets. ValueError, with what it must be, for anything else.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > _MAX_PORT:
        msg = f"HOST:PORT with a port of at most {_MAX_PORT}, e.g. 127.0.0.1:9090 or [::1]:9090"
        raise ValueError(msg)
    return match["host"].strip("[]"), int(match["port"])


def _checked_address(address: str) -> str:
    split_address(address)
    return address


Address = Annotated[str, AfterValidator(_checked_address)]
"""HOST:PORT; see `split_address`."""

AddressOrNone = Annotated[str, AfterValidator(lambda address: address and _checked_address(address))]
"""The same, or empty."""


class Section(BaseModel):
    """A group of keys: immutable, and strict about names so that a typo never passes for a setting."""

    model_config = ConfigDict(frozen=True, extra="forbid")
