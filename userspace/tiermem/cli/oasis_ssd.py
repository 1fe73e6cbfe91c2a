"""`tiermem oasis` for SSDs of this host: given to the pod, and whose slices they have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tiermem.cli.daemon_options import JsonOption
from tiermem.cli.oasis_options import SocketOption, client_of
from tiermem.cli.shown import show


def slices(*, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """The slices of this host's SSDs: whose they are, and which can be reached now."""
    answer = client_of(socket).get("/v1/slices")
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
        return
    from tiermem.oasis.listing_view import slices_table

    show(slices_table(answer) if answer else "no slices")


def forget_slice(
    device: Annotated[str, typer.Argument(help="HOST/NUMBER of an SSD of this host.")],
    instance: Annotated[str, typer.Argument(help="HOST/NUMBER of the instance that had it.")],
    slice_id: Annotated[str, typer.Argument(help="Its id, as `tiermem oasis slices` shows it.")],
    *,
    socket: SocketOption = None,
) -> None:
    """Give a slice's room to others, when its instance will not come back: its data is lost.

    For hosts that are gone for good; one that lives detaches its own.

    tiermem oasis forget-slice 1/100 2/0 9f3c01d2a4b7
    """
    body = {"device": device, "instance": instance, "id": slice_id}
    client_of(socket).post("/v1/forget-slice", body)


def format_ssd(
    path: Annotated[Path, typer.Argument(help="The SSD, e.g. /dev/nvme0n1; or a file.")],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also over what is on it, which is lost.")
    ] = False,
) -> None:
    """Give an SSD to the pod: begin a table of slices on it. Once in its life.

    Then name it in a [[ssd]] of the config. Needs root; the SSD must not be in use.
    """
    from tiermem.oasis.storage.begin_ssd import begin_ssd
    from tiermem.service.size import size_text

    typer.echo(f"{path}: {size_text(begin_ssd(path, is_forced=force))} for slices")
