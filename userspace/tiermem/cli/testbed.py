"""`tiermem testbed`: build, boot and use the QEMU CXL machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from tiermem.cli.shown import new_table, show
from tiermem.errors import ConfigError
from tiermem.testbed import console, detached
from tiermem.testbed.build import build as build_testbed
from tiermem.testbed.build import default_checkout
from tiermem.testbed.progress import Progress
from tiermem.testbed.topology import load_topology, topology_names

app = typer.Typer(help="Build, boot and use the QEMU CXL machine.", no_args_is_help=True)

PodName = Annotated[str, typer.Option("--pod", help="Name of the pod.")]
HostName = Annotated[
    str | None, typer.Option("--host", help="Which host; the first without it.", show_default=False)
]


@app.command()
def build() -> None:
    """Build all that a boot needs: QEMU, image, modules, native code, plugin."""
    testbed = build_testbed(Progress(), default_checkout())
    major, minor = testbed.qemu.version
    kernels = ", ".join(
        f"{name} {kernel.release}" for name, kernel in testbed.image.kernels.items()
    )
    print(f"QEMU {major}.{minor}; kernels: {kernels}; image: {testbed.image.disk}")


@app.command()
def up(
    topology: Annotated[
        str, typer.Argument(help=f"{', '.join(topology_names())}, or a .toml file.")
    ] = "one-host",
    *,
    pod_name: PodName = "default",
    kernel: Annotated[Literal["newest", "lts"], typer.Option(help="Guest kernel.")] = "newest",
    time: Annotated[
        Literal["wall", "icount"], typer.Option(help="icount: 1 ns an instruction, one CPU.")
    ] = "wall",
    plugin: Annotated[bool, typer.Option(help="Load the hardware model, idle.")] = True,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Of every host: cpus, dram, cxl, cxl_use, nvme, nics.",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Of the hardware model: see memsys/defaults.toml."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder that guests see as /opt/tiermem/out.")
    ] = None,
) -> None:
    """Boot a topology in the background; `down` ends it."""
    settings: dict[str, str | int] = dict(_pairs("--set", setting))
    if time == "icount":
        settings.setdefault("cpus", 1)
    load_topology(topology, **settings)
    path = str(Path(topology).resolve()) if topology.endswith(".toml") else topology
    order = detached.Order(
        pod=pod_name,
        topology=path,
        settings=settings,
        kernel=kernel,
        time=time,
        plugin=plugin,
        plugin_parameters=_pairs("--model", model),
        out_dir=out.resolve() if out is not None else None,
    )
    state = detached.up(order)
    print(f"{pod_name}: up, hosts {', '.join(state.guests)}")


@app.command()
def status() -> None:
    """List the pods that are up."""
    table = new_table("pod", "topology", "kernel", "time", "host", "serial log", box=None)
    for state in detached.pods_up():
        order = state.order
        for name, files in state.guests.items():
            log = str(files.serial_log)
            table.add_row(order.pod, order.topology, order.kernel, order.time, name, log)
    if table.row_count:
        show(table)
    else:
        print("no pod is up")


@app.command(context_settings={"ignore_unknown_options": True})
def exec(
    command: Annotated[list[str], typer.Argument(help="Command and arguments, after --.")],
    *,
    pod_name: PodName = "default",
    host: HostName = None,
    timeout: Annotated[float, typer.Option(help="Seconds before it is killed.")] = 600.0,
) -> None:
    """Run a command in a guest; its output and exit status become ours."""
    stdin = b"" if sys.stdin.isatty() else sys.stdin.buffer.read()
    with detached.attach(detached.find(pod_name), host) as guest:
        done = guest.exec(command, timeout_s=timeout, stdin=stdin)
    for stream, content in ((sys.stdout.buffer, done.output), (sys.stderr.buffer, done.errors)):
        stream.write(content)
        stream.flush()
    raise typer.Exit(done.status)


@app.command()
def shell(*, pod_name: PodName = "default", host: HostName = None) -> None:
    """A root shell in a guest; Ctrl-] leaves it."""
    files = detached.guest_files(detached.find(pod_name), host)
    print(f"{pod_name}/{files.name}: Ctrl-] leaves")
    console.interact(files.console_socket)


@app.command()
def down(*, pod_name: PodName = "default") -> None:
    """End a pod and its guests."""
    detached.down(pod_name)
    print(f"{pod_name}: down")


def _pairs(option: str, words: list[str] | None) -> dict[str, str]:
    pairs = {}
    for word in words or []:
        key, equals, value = word.partition("=")
        if not (key and equals and value):
            raise ConfigError(f"{option} {word}: should be KEY=VALUE")
        pairs[key] = value
    return pairs
