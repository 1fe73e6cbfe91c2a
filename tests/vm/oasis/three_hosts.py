"""A pod of three guests with oasisd on each: an instance on a, NICs on b and c, an outside.

The instance is namespace web of a, which has no NIC of its own. The outside is a NIC of c in a
namespace of its own, on the same segment as the NICs that oasisd has.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tiermem.testbed import Guest, Pod
from tiermem.testbed.guest_python import SOURCE

from tests.vm.cxlfork.services import PATIENCE_S, create_pool, start, wait_until
from tests.vm.oasis.unit import install
from tests.vm.testbed.qemu_processes import qemus_of

OUTSIDE, WEB = "10.78.0.1", "10.78.0.2"
SERVED = "/run/outside/served"
CLIENT_KEY = "/run/key"
TRAFFIC = f"{SOURCE}/tests/vm/oasis/in_guest/steady_traffic.py"
NIC_OF_B, NIC_OF_C = "1/0", "2/0"
# Emulated hosts on a busy machine stand still for longer than real ones that live, and to look
# for frames all the time would take most of what processors they have.
_CONFIG = """
hosts = 3
host = {host}
silence_ms = 3000
look_ms = 100
lease_s = 10
[pace]
sleep_max_us = 4000
[link]
slots = 1024
tx_bytes = 1048576
rx_bytes = 1048576
"""
_NIC = """
[[nic]]
interface = "eth0"
capacity = "10Gbit"
backup = "{backup}"
"""
_LISTENERS = 5
_SSHD = f"""
ListenAddress {OUTSIDE}
HostKey /run/outside/host_key
AuthorizedKeysFile /run/outside/authorized_keys
PasswordAuthentication no
UsePAM no
StrictModes no
PidFile none
"""
_MAKE_OUTSIDE = f"""
mkdir -p /run/outside /run/sshd
cat > /run/outside/authorized_keys
echo '{_SSHD}' > /run/outside/sshd.conf
ssh-keygen -q -t ed25519 -N '' -f /run/outside/host_key
head -c 300000 /dev/urandom > {SERVED}
ip netns add outside
ip link set eth1 netns outside
ip -n outside addr add {OUTSIDE}/24 dev eth1
ip -n outside link set lo up
ip -n outside link set eth1 up
"""
_SERVE = f"""
/usr/sbin/sshd -D -f /run/outside/sshd.conf &
python3 -m http.server --bind {OUTSIDE} --directory /run/outside 8000 &
iperf3 --server --bind {OUTSIDE} &
redis-server --bind {OUTSIDE} --protected-mode no --save '' &
python3 {TRAFFIC} answer {OUTSIDE} &
wait
"""


class ThreeHosts:
    """What tests do with them."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod

    @property
    def a(self) -> Guest:
        """The host of the instance."""
        return self.pod["a"]

    @property
    def b(self) -> Guest:
        """The host of the NIC that it uses."""
        return self.pod["b"]

    @property
    def c(self) -> Guest:
        """The host of the other NIC."""
        return self.pod["c"]

    def set_up(self) -> None:
        """Daemons that see each other's NICs, an instance by b's, and servers outside."""
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", CLIENT_KEY]
        self.a.check(key)
        with ThreadPoolExecutor() as threads:
            made = threads.submit(create_pool, self.a, 3)
            outside = threads.submit(self._make_outside)
            list(threads.map(self._install, range(3)))
            made.result()
            list(threads.map(self.start_daemon, self.pod.values()))
            outside.result()
        self.wait_for(lambda: self.healthy() == {NIC_OF_B, NIC_OF_C})
        self._attach()

    def _install(self, host: int) -> None:
        guest = self.pod["abc"[host]]
        config = _CONFIG.format(host=host)
        if guest is not self.a:
            backup = NIC_OF_C if guest is self.b else NIC_OF_B
            config += _NIC.format(backup=backup)
            guest.check(["ip", "link", "set", "eth0", "up"])
        install(guest, config)

    def start_daemon(self, guest: Guest) -> None:
        """And wait until it serves."""
        guest.check(["systemctl", "start", "tiermem-oasis"], timeout_s=PATIENCE_S)

    def kill_b(self) -> None:
        """With SIGKILL to its QEMU."""
        for process in qemus_of(self.b.serial_log):
            os.kill(process, signal.SIGKILL)

    def _make_outside(self) -> None:
        public = self.a.check(["cat", f"{CLIENT_KEY}.pub"]).output
        self.c.check(["bash", "-ec", _MAKE_OUTSIDE], stdin=public)
        start(self.c, "outside", "ip", "netns", "exec", "outside", "bash", "-c", _SERVE)
        listeners = "$(ip netns exec outside ss --no-header --listening --tcp | wc -l)"
        wait_until(self.c, f"test {listeners} -eq {_LISTENERS}")

    def _attach(self) -> None:
        self.a.check(["ip", "netns", "add", "web"])
        attach = ["tiermem", "oasis", "attach", "--nic", "--namespace", "web"]
        attach += ["--expected", "1Gbit", "--wait", str(PATIENCE_S)]
        self.a.check(attach, timeout_s=2 * PATIENCE_S)
        self.a.check(["ip", "-n", "web", "addr", "add", f"{WEB}/24", "dev", "eth0"])

    def in_web(self, *command: str, stdin: bytes = b"") -> str:
        """What a program in the instance prints."""
        words = ["ip", "netns", "exec", "web", *command]
        return self.a.check(words, stdin=stdin, timeout_s=PATIENCE_S).stdout

    def ask(self, path: str, body: object = None) -> Any:
        """What the daemon of the instance's host answers; what the daemons said where it does not.
        (`tiermem oasis` would ask it more nicely, and start Python each time.)"""
        words = ["curl", "--silent", "--fail-with-body", "--unix-socket", "/run/tiermem/oasis.sock"]
        words += [] if body is None else ["--json", json.dumps(body)]
        answer = self.a.exec([*words, f"http://tiermem{path}"])
        assert answer.status == 0, f"{answer.stdout}{self.said()}"
        return json.loads(answer.stdout)

    def use_b(self) -> None:
        """Have b's NIC carry the instance, and whenever it can."""
        self.move(NIC_OF_B)
        self.wait_for(lambda: self.carrier() == NIC_OF_B)

    def move(self, nic: str) -> None:
        """Ask for the instance to be on that NIC."""
        self.ask("/v1/move", {"instance": "web/eth0", "device": nic})

    def healthy(self) -> set[str]:
        """The NICs that are."""
        devices = self.ask("/v1/ls")["devices"]
        return {one["device"] for one in devices if one["health"] == "healthy"}

    def carrier(self) -> str | None:
        """The NIC that carries the instance's frames."""
        instance = self.ask("/v1/instance?name=web/eth0")
        return str(instance["by"]) if instance["is_ready"] else None

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        """Until it is; what the daemons said where it is not for long."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < deadline_s, self.said()
            time.sleep(0.2)

    def said(self) -> str:
        """What the living hosts' daemons have."""
        journal = ["journalctl", "-o", "cat", "-n", "30", "-u", "tiermem-oasis"]
        living = [one for one in self.pod.values() if one.crashed() is None]
        return "\n".join(f"{one.name}: {one.exec(journal).stdout}" for one in living)
