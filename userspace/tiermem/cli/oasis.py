"""`tiermem oasis`: use NICs and SSDs of other hosts of the pod, and lend them those of this one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from tiermem.cli.daemon_options import (
    ConfigOption,
    JsonOption,
    SetOption,
    find_config,
    log_to_stderr,
    settings_of,
)
from tiermem.cli.oasis_options import CONFIG, SocketOption, client_of
from tiermem.cli.oasis_ssd import forget_slice, format_ssd, slices
from tiermem.cli.shown import new_console, new_table, show
from tiermem.errors import ConfigError, TimeoutExpiredError
from tiermem.service.client import LocalClient

_LOOK_S = 0.02

app = typer.Typer(
    help="NICs and SSDs of the pod's hosts, for instances on any of them.",
    no_args_is_help=True,
)

InstanceArgument = Annotated[
    str,
    typer.Argument(
        help="NAMESPACE/INTERFACE, a block device's name, or its number (`tiermem oasis ls`); of "
        "this host."
    ),
]
WaitOption = Annotated[
    float, typer.Option("--wait", min=0, help="Seconds to wait until it is served.")
]


@app.command()
def run(*, config: ConfigOption = None, changes: SetOption = None) -> None:
    """Run the daemon (oasisd) until SIGTERM or Ctrl-C.

    On host 1 of a pod:              tiermem oasis run --set host=1

    Needs root, and a pool (`tiermem pool create`).
    """
    from tiermem.oasis.serve import serve
    from tiermem.oasis.settings import OasisSettings

    path = find_config(config, CONFIG)
    settings = settings_of(path, changes or [], OasisSettings)
    log_to_stderr(settings.log_level)
    serve(settings)


@app.command()
def attach(
    *,
    nic: Annotated[bool, typer.Option("--nic", help="Attach to a NIC of the pod.")] = False,
    ssd: Annotated[bool, typer.Option("--ssd", help="Attach to an SSD of the pod.")] = False,
    name: Annotated[
        str | None,
        typer.Option(
            help="The interface's (eth0 by default), or the block device's below /dev/tiermem.",
            show_default=False,
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", help="NIC: where the interface is to be (`ip netns`)."),
    ] = None,
    mac: Annotated[
        str | None,
        typer.Option(help="NIC: its address; without it one is made up.", show_default=False),
    ] = None,
    mtu: Annotated[
        int | None, typer.Option(min=576, max=9000, help="NIC: 1500 by default.")
    ] = None,
    expected: Annotated[
        str | None, typer.Option(help="NIC: the bandwidth that it is promised, e.g. 1Gbit.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="SSD: how large it is to be, e.g. 10G.")] = None,
    iops: Annotated[
        int | None, typer.Option(min=0, help="SSD: commands a second that it is promised.")
    ] = None,
    io_timeout_s: Annotated[
        float | None,
        typer.Option(
            "--io-timeout",
            min=0,
            help="SSD: seconds that a request may wait for an SSD that does not answer, before it "
            "fails; 0: for ever. Without it as the config has it (io_timeout_s).",
            show_default=False,
        ),
    ] = None,
    wait_s: WaitOption = 10.0,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an interface or a block device, served by the least loaded NIC or SSD of the pod.

    An interface in a namespace:     tiermem oasis attach --nic -n web --expected 1Gbit

    A block device of zeros:         tiermem oasis attach --ssd --size 10G --name data

    The latter is /dev/tiermem/data then: mkfs.ext4 it, mount it. Either is there until it is
    detached, with its addresses and its data, also when the daemon or the host restarts.
    """
    if nic == ssd:
        raise ConfigError(
            "attach: to what? --nic attaches to a NIC of the pod, --ssd to one of its SSDs"
        )
    of_nics = {"namespace": namespace, "mac": mac, "mtu": mtu, "expected": expected}
    of_ssds = {"size": size, "iops": iops, "io_timeout_s": io_timeout_s}
    strange = [key for key, value in (of_ssds if nic else of_nics).items() if value is not None]
    if strange:
        raise ConfigError(f"attach: {strange[0]}: is an option of --{'ssd' if nic else 'nic'}")
    wanted = {"name": name, **(of_nics if nic else of_ssds)}
    body = {key: value for key, value in wanted.items() if value is not None}
    client = client_of(socket)
    made = client.post("/v1/attach", {"kind": "nic" if nic else "ssd", **body})
    _tell(_wait(client, made, wait_s, lambda one: one["is_ready"]), as_json)


@app.command()
def detach(
    instance: InstanceArgument,
    *,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="A block device also while it is in use, or when its SSD does not answer: what "
            "was not flushed is lost. If the SSD's host is dead the slice stays there, until "
            "`tiermem oasis forget-slice` on that host.",
        ),
    ] = False,
    socket: SocketOption = None,
) -> None:
    """Take an instance's interface or block device away; the latter's data is lost."""
    body = {"instance": instance, "is_forced": force}
    client_of(socket).post("/v1/detach", body)


@app.command()
def move(
    instance: InstanceArgument,
    device: Annotated[
        str,
        typer.Argument(help='HOST/NUMBER of the device to stay on; "any": as the pod likes.'),
    ],
    *,
    wait_s: WaitOption = 5.0,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have another NIC carry an instance, and go on carrying it while it can.

    Block devices stay where their data is.
    """
    client = client_of(socket)
    wanted = None if device == "any" else device
    moved = client.post("/v1/move", {"instance": instance, "device": wanted})

    def is_there(one: Any) -> bool:
        return bool(one["is_ready"]) and wanted in (None, one["by"])

    _tell(_wait(client, moved, wait_s, is_there), as_json)


@app.command()
def drain(
    device: Annotated[str, typer.Argument(help="HOST/NUMBER of a NIC or SSD of this host.")],
    *,
    undo: Annotated[bool, typer.Option("--undo", help="It may be used again.")] = False,
    socket: SocketOption = None,
) -> None:
    """Have a NIC's instances go elsewhere, and give it nothing more; of an SSD only the latter.

    Data does not move: slices stay on an SSD until their own hosts detach them.
    """
    done = client_of(socket).post("/v1/drain", {"device": device, "undo": undo})
    if done["slices"] and not undo:
        typer.echo(
            f"SSD {device} gets no new slices; its {done['slices']} stay, for data does not move"
        )


@app.command("ls")
def list_all(*, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """The pod's devices, and who uses them."""
    answer = client_of(socket).get("/v1/ls")
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
        return
    from tiermem.oasis.listing_view import devices_table, instances_table, outdated_text

    console = new_console()
    if outdated := outdated_text(answer):
        console.print(outdated, style="bold", highlight=False)
    console.print(devices_table(answer) if answer["devices"] else "no devices")
    console.print(instances_table(answer) if answer["instances"] else "no instances")


@app.command()
def status(*, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """How the daemon is, and which host leads the pod."""
    answer = client_of(socket).get("/v1/status")
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
        return
    nics, ssds = answer.pop("nics"), answer.pop("ssds")
    table = new_table(show_header=False)
    for key, value in answer.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        table.add_row(key, "nobody" if value is None else str(shown))
    for interface, trouble in nics.items():
        table.add_row(f"NIC {interface}", trouble or "well")
    for path, trouble in ssds.items():
        table.add_row(f"SSD {path}", trouble or "well")
    show(table)


def _wait(client: LocalClient, instance: Any, wait_s: float, is_done: Callable[[Any], bool]) -> Any:
    """How the instance is once it is as it should be. TimeoutExpiredError, after which it
    still may become so."""
    deadline_s = time.monotonic() + wait_s
    while not is_done(instance):
        if time.monotonic() >= deadline_s:
            if not wait_s:
                break
            kind = "SSD" if "path" in instance else "NIC"
            why = instance["trouble"] or f"no {kind} of the pod has room, or its host is silent"
            raise TimeoutExpiredError(
                f"instance {instance['name']}: is there, and not served after {wait_s:g} s: {why}"
            )
        time.sleep(_LOOK_S)
        instance = client.get("/v1/instance", {"name": instance["instance"]})
    return instance


def _tell(instance: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(instance, indent=1))
        return
    if "path" in instance:
        address = f"{instance['path'] or ''} {instance['link']}".strip()
        by = f"on SSD {instance['by']}" if instance["by"] else "not on any SSD yet"
    else:
        address = instance["mac"]
        by = f"carried by NIC {instance['by']}" if instance["by"] else "not carried by any NIC yet"
    typer.echo(f"{instance['instance']}  {instance['name']}  {address}  {by}")


app.command()(slices)
app.command("forget-slice")(forget_slice)
app.command("format-ssd")(format_ssd)
