"""Two hosts on one CXL memory, and the network between them."""

from __future__ import annotations

from tiermem.testbed import Guest, Pod

PAGE = 4096
WRITE = """
import mmap, os, sys
memory = mmap.mmap(os.open("/dev/dax0.0", os.O_RDWR), 2 << 20)
memory[{at}:{at} + 5] = b"{text}"
"""
READ = """
import mmap, os
memory = mmap.mmap(os.open("/dev/dax0.0", os.O_RDWR), 2 << 20)
print(memory[{at}:{at} + 5].decode())
"""


def write(guest: Guest, at: int, text: str) -> None:
    """Store five characters into the shared memory."""
    guest.check(["python3", "-c", WRITE.format(at=at, text=text)])


def read(guest: Guest, at: int) -> str:
    """Load five characters from the shared memory."""
    return guest.check(["python3", "-c", READ.format(at=at)]).stdout.strip()


def test_each_host_sees_what_the_other_writes(two_hosts: Pod) -> None:
    write(two_hosts["a"], 0, "froma")
    assert read(two_hosts["b"], 0) == "froma"
    write(two_hosts["b"], PAGE, "fromb")
    assert read(two_hosts["a"], PAGE) == "fromb"


def test_the_shared_memory_belongs_to_no_kernel(two_hosts: Pod) -> None:
    for guest in two_hosts.values():
        assert guest.check(["cat", "/sys/devices/system/node/has_memory"]).stdout == "0\n"


def test_the_hosts_reach_each_other(two_hosts: Pod) -> None:
    two_hosts["a"].check(["ping", "-c", "2", "-W", "10", "10.77.0.2"])
    two_hosts["b"].check(["ping", "-c", "2", "-W", "10", "10.77.0.1"])


def test_each_host_has_its_own_name_and_output_folder(two_hosts: Pod) -> None:
    for name, guest in two_hosts.items():
        assert guest.check(["uname", "-n"]).stdout == f"{name}\n"
        guest.check(["sh", "-c", "uname -n > /opt/tiermem/out/name"])
        assert (guest.out_dir / "name").read_text() == f"{name}\n"
