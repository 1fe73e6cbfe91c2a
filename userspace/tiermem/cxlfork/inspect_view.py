"""`tiermem fork inspect` for people: the values of `inspect.describe` as tables."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

_MIB = 1 << 20
_MAPPINGS_SHOWN = 40


def render(found: dict[str, Any]) -> RenderableType:
    """The image at large, its memory by kind and its largest mappings, its descriptors."""
    return Group(_at_large(found), _by_kind(found), _largest(found), _descriptors(found))


def _at_large(found: dict[str, Any]) -> Table:
    table = Table(title=f"image {found['name']}", show_header=False)
    process, pages = found["process"], found["pages"]
    threads = ", ".join(f"{tid} {name}" for tid, name in found["threads_by_tid"].items())
    used = "not known" if pages["accessed"] is None else f"{pages['accessed']} pages in use"
    for key, value in (
        ("process", f"{process['pid']}  {process['executable']}"),
        ("working directory", process["cwd"]),
        ("user, group", f"{process['uids'][0]}, {process['gids'][0]}"),
        ("threads", threads),
        ("kernel", found["host_needs"]["kernel"]),
        (
            "size",
            f"{found['bytes'] / _MIB:.1f} MiB, {pages['stored']} pages in {pages['runs']} runs",
        ),
        ("A bits", used),
        ("checked", f"{found['state']}, in {found['checked_ms']:.1f} ms"),
        ("timers", str(found["timers"])),
    ):
        table.add_row(key, value)
    return table


def _by_kind(found: dict[str, Any]) -> Table:
    table = Table("memory", "mappings", "MiB", "stored MiB")
    kinds: dict[str, list[int]] = {}
    for one in found["memory"]:
        sums = kinds.setdefault(one["kind"], [0, 0, 0])
        sums[0] += 1
        sums[1] += one["bytes"]
        sums[2] += one["stored_bytes"]
    for kind, (mappings, size, stored) in kinds.items():
        words = (kind.replace("_", " "), str(mappings))
        table.add_row(*words, f"{size / _MIB:.1f}", f"{stored / _MIB:.1f}")
    return table


def _largest(found: dict[str, Any]) -> Table:
    mappings = sorted(found["memory"], key=lambda one: -one["stored_bytes"])
    shown = [one for one in mappings if one["stored_bytes"]][:_MAPPINGS_SHOWN]
    title = f"mappings with most stored ({len(shown)} of {len(mappings)})"
    table = Table("at", "MiB", "stored MiB", "", "kind", "file", title=title)
    for one in shown:
        sizes = (f"{one['bytes'] / _MIB:.2f}", f"{one['stored_bytes'] / _MIB:.2f}")
        table.add_row(
            f"{one['start']:#x}", *sizes, one["protection"], one["kind"], one["file"] or ""
        )
    return table


def _descriptors(found: dict[str, Any]) -> Table:
    table = Table("descriptor", "kind", "file", "offset")
    for one in found["descriptors"]:
        kind = one["kind"] if one["same_as"] is None else f"same as {one['same_as']}"
        position = "" if one["position"] is None else str(one["position"])
        table.add_row(str(one["number"]), kind, one["file"] or "", position)
    return table
