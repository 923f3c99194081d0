"""The value of ``RUN --device``: a name of the Container Device Interface, and whether it must be there. Pure."""

import re

from builder.dockerfile.mounts import MountError, fields, parse_switch
from layers.tuples import NamedTuple

_NAME = r"[A-Za-z][A-Za-z0-9_.-]*/[A-Za-z][A-Za-z0-9_-]*(?:=(?:\*|[A-Za-z0-9][A-Za-z0-9_.:-]*))?\Z"
_EXAMPLE = "write --device=vendor.com/class=name, or vendor.com/class=* for all of them"


class Device(NamedTuple):
    name: str
    required: bool = False


def parse_device(value: str) -> Device:
    """``NAME[,required]`` or ``name=NAME[,required=BOOL]``. Raises MountError."""
    name, required = "", False
    for field in fields(value):
        key, equals, text = field.partition("=")
        if key.lower() == "required":
            required = parse_switch(field, text if equals else "true")
        elif key.lower() == "name" and equals:
            name = text
        elif not name:
            name = field
        else:
            raise MountError(f"a device has no key {key}", "there are name and required")
    if not re.match(_NAME, name):
        raise MountError(f"{name or 'an empty text'} is no name of a device", _EXAMPLE)
    return Device(name, required)
