"""numpy dtypes of C structures, so that arrays of them need no copy and no second layout."""

from __future__ import annotations

from typing import Any

import numpy as np


def struct_dtype(ffi: Any, name: str) -> np.dtype[np.void]:
    """The dtype of `struct <name>` with the compiler's offsets, nested structures included.

    `ffi` is the extension's; raises ffi.error for a structure it does not know.
    """
    dtype: np.dtype[np.void] = np.dtype(_dtype(ffi, ffi.typeof(f"struct {name}")))
    return dtype


def _dtype(ffi: Any, ctype: Any) -> Any:
    if ctype.kind == "struct":
        fields = dict(ctype.fields)
        return {
            "names": list(fields),
            "formats": [_dtype(ffi, field.type) for field in fields.values()],
            "offsets": [field.offset for field in fields.values()],
            "itemsize": ffi.sizeof(ctype),
        }
    if ctype.kind == "array":
        return np.dtype((_dtype(ffi, ctype.item), (ctype.length,)))
    if ctype.cname in ("double", "float"):
        return f"<f{ffi.sizeof(ctype)}"
    sign = "i" if int(ffi.cast(ctype, -1)) < 0 else "u"
    return f"<{sign}{ffi.sizeof(ctype)}"
