"""Holds a detached pod: `python -m tiermem.testbed.supervisor ORDER-AS-JSON`.

It ends on SIGTERM, or when a guest's QEMU does, and says so in its log. Until the
pod is up it also ends when standard input does, that is, when who ordered it dies.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from tiermem.errors import TiermemError
from tiermem.testbed.detached import Order, State, state_file
from tiermem.testbed.pod import Pod, boot
from tiermem.testbed.topology import load_topology

_LOOK_EVERY_S = 0.5


def supervise(order: Order) -> None:
    """Boot what is ordered, publish its state, hold it until a guest ends."""
    file = state_file(order.pod)
    wanted_by_itself = _end_with_who_ordered_it()
    with boot(
        load_topology(order.topology, **order.settings),
        kernel=order.kernel,
        time=order.time,
        plugin=order.plugin,
        plugin_parameters=order.plugin_parameters,
        out_dir=order.out_dir,
    ) as pod:
        for guest in pod.values():
            guest.detach()
        # Before there is a state: who ordered the pod may end as soon as it sees one.
        wanted_by_itself.set()
        _publish(order, pod)
        try:
            while True:
                time.sleep(_LOOK_EVERY_S)
                for guest in pod.values():
                    crashed = guest.crashed()
                    if crashed is not None:
                        raise crashed
        finally:
            file.unlink(missing_ok=True)


def _end_with_who_ordered_it() -> threading.Event:
    """Have this process end with its standard input, until the event that is returned is set."""
    wanted_by_itself = threading.Event()

    def watch() -> None:
        # Not through sys.stdin, whose lock a daemon thread would hold at exit.
        while os.read(0, 1):
            pass
        if not wanted_by_itself.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="tiermem-who-ordered", daemon=True).start()
    return wanted_by_itself


def _publish(order: Order, pod: Pod) -> None:
    files = {name: guest.files for name, guest in pod.items()}
    state = State(order=order, supervisor_pid=os.getpid(), guests=files)
    file = state_file(order.pod)
    scratch = file.with_suffix(".part")
    scratch.write_text(state.model_dump_json())
    scratch.rename(file)


def main() -> int:
    """Run until told to stop; the last line of output is what went wrong, if anything."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        supervise(Order.model_validate_json(sys.argv[1]))
    except TiermemError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
