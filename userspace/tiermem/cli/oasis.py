"""`tiermem oasis`: use the NICs of other hosts of the pod, and lend them those of this one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tiermem.cli.daemon_options import (
    ConfigOption,
    JsonOption,
    SetOption,
    find_config,
    find_socket,
    log_to_stderr,
    settings_of,
    socket_option,
)
from tiermem.errors import ConfigError, TimeoutExpiredError
from tiermem.service.client import LocalClient

CONFIG = Path("/etc/tiermem/oasis.toml")
SOCKET = Path("/run/tiermem/oasis.sock")
_LOOK_S = 0.02

app = typer.Typer(
    help="NICs of the pod's hosts, for instances on any of them.",
    no_args_is_help=True,
)

SocketOption = Annotated[Path | None, socket_option(CONFIG, SOCKET)]
InstanceArgument = Annotated[
    str,
    typer.Argument(help="NAMESPACE/INTERFACE, or its number (`tiermem oasis ls`); of this host."),
]
WaitOption = Annotated[
    float, typer.Option("--wait", min=0, help="Seconds to wait until frames go through.")
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
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Where the interface is to be (`ip netns`).")
    ],
    name: Annotated[str, typer.Option("--name", help="The interface's name.")] = "eth0",
    mac: Annotated[
        str | None,
        typer.Option(help="Its address; without it one is made up.", show_default=False),
    ] = None,
    mtu: Annotated[int, typer.Option(min=576, max=9000)] = 1500,
    expected: Annotated[
        str, typer.Option(help="The bandwidth that it is promised, e.g. 1Gbit.")
    ] = "0bit",
    wait_s: WaitOption = 5.0,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an interface in a namespace, carried by the least loaded NIC of the pod.

    It is there, with its addresses, until it is detached, also when the daemon restarts.

    tiermem oasis attach --nic --namespace web --expected 1Gbit
    """
    if not nic:
        raise ConfigError("attach: to what? --nic attaches to a NIC of the pod")
    client = LocalClient(_socket(socket))
    body = {"namespace": namespace, "name": name, "mtu": mtu, "expected": expected}
    if mac is not None:
        body["mac"] = mac
    made = client.post("/v1/attach", body)
    _tell(_wait(client, made, wait_s, lambda one: one["is_ready"]), as_json)


@app.command()
def detach(instance: InstanceArgument, *, socket: SocketOption = None) -> None:
    """Take an instance's interface away."""
    LocalClient(_socket(socket)).post("/v1/detach", {"instance": instance})


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
    """Have another NIC carry an instance, and go on carrying it while it can."""
    client = LocalClient(_socket(socket))
    wanted = None if device == "any" else device
    moved = client.post("/v1/move", {"instance": instance, "device": wanted})

    def is_there(one: Any) -> bool:
        return bool(one["is_ready"]) and wanted in (None, one["by"])

    _tell(_wait(client, moved, wait_s, is_there), as_json)


@app.command()
def drain(
    device: Annotated[str, typer.Argument(help="HOST/NUMBER of a NIC of this host.")],
    *,
    undo: Annotated[bool, typer.Option("--undo", help="It may be used again.")] = False,
    socket: SocketOption = None,
) -> None:
    """Have a device's instances go elsewhere, and give it nothing more."""
    LocalClient(_socket(socket)).post("/v1/drain", {"device": device, "undo": undo})


@app.command("ls")
def list_all(*, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """The pod's devices, and who uses them."""
    answer = LocalClient(_socket(socket)).get("/v1/ls")
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
        return
    from tiermem.oasis.listing_view import devices_table, instances_table, outdated_text

    console = Console()
    if outdated := outdated_text(answer):
        console.print(outdated, style="bold", highlight=False)
    console.print(devices_table(answer) if answer["devices"] else "no devices")
    console.print(instances_table(answer) if answer["instances"] else "no instances")


@app.command()
def status(*, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """How the daemon is, and which host leads the pod."""
    answer = LocalClient(_socket(socket)).get("/v1/status")
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
        return
    nics = answer.pop("nics")
    table = Table(show_header=False)
    for key, value in answer.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        table.add_row(key, "nobody" if value is None else str(shown))
    for interface, trouble in nics.items():
        table.add_row(f"NIC {interface}", trouble or "well")
    Console().print(table)


def _wait(client: LocalClient, instance: Any, wait_s: float, is_done: Callable[[Any], bool]) -> Any:
    """How the instance is once it is as it should be. TimeoutExpiredError, after which it
    still may become so."""
    deadline_s = time.monotonic() + wait_s
    while not is_done(instance):
        if time.monotonic() >= deadline_s:
            if not wait_s:
                break
            why = instance["trouble"] or "no NIC of the pod has room, or its host does not answer"
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
    by = f"carried by NIC {instance['by']}" if instance["by"] else "not carried by any NIC yet"
    typer.echo(f"{instance['instance']}  {instance['name']}  {instance['mac']}  {by}")


def _socket(given: Path | None) -> Path:
    return find_socket(given, CONFIG, SOCKET)
