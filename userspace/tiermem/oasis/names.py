"""How devices and instances are written: `HOST/NUMBER`, in configs and on the command line."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from tiermem.oasis.allocator.pod import DeviceId, InstanceId

_PAIR = re.compile(r"(\d{1,3})/(\d{1,5})")


def id_text(one: DeviceId | InstanceId) -> str:
    """`1/0`: number 0 of host 1."""
    return f"{one.host}/{one.number}"


def device_id(text: object) -> DeviceId:
    """ValueError for anything but `HOST/NUMBER`."""
    if isinstance(text, DeviceId):
        return text
    found = _PAIR.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError('must be a device, as HOST/NUMBER, such as "1/0"')
    return DeviceId(int(found[1]), int(found[2]))


def _to_text(one: Any) -> Any:
    return None if one is None else id_text(one)


DeviceName = Annotated[DeviceId, BeforeValidator(device_id), PlainSerializer(_to_text)]
"""A setting: text in a config or a state file, a DeviceId in the model."""
