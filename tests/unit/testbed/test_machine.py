"""QEMU's arguments, as far as mistakes in them would only show much later."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tiermem.testbed.image import Image, Kernel
from tiermem.testbed.machine import Machine, Plugin, Shares, nic_id
from tiermem.testbed.segment import Cable, Segment
from tiermem.testbed.topology import Host

RUN = Path("/run/pod/a")
IMAGE = Image(
    disk=Path("/cache/disk.img"),
    root=Path("/cache/root"),
    kernels={
        "newest": Kernel("7.3", Path("/cache/vmlinuz-7.3"), Path("/cache/initrd-7.3")),
        "lts": Kernel("6.12", Path("/cache/vmlinuz-6.12"), Path("/cache/initrd-6.12")),
    },
)


@pytest.fixture
def machine() -> Machine:
    """A host as `one-host` has it."""
    shares = Shares(Path("/src"), RUN / "artifacts", Path("/out"), RUN / "exec")
    return Machine("a", Host(), IMAGE, "newest", "wall", RUN, shares)


def values(machine: Machine, option: str) -> list[str]:
    """All values of an option."""
    words = machine.arguments()
    return [value for word, value in itertools.pairwise(words) if word == option]


def test_cxl_memory_and_its_window_have_the_asked_size(machine: Machine) -> None:
    machine = replace(machine, host=Host(cxl="768M"))  # type: ignore[arg-type]
    assert f"cxl-fmw.0.size={768 << 20}" in values(machine, "-machine")[0]
    assert f"memory-backend-ram,id=cxl-ram,share=on,size={768 << 20}" in values(machine, "-object")


def test_shared_cxl_memory_is_a_file(machine: Machine) -> None:
    machine = replace(machine, cxl_file=Path("/dev/shm/pool"))
    backends = [value for value in values(machine, "-object") if "id=cxl-ram" in value]
    assert backends == [
        f"memory-backend-file,id=cxl-ram,share=on,size={2 << 30},mem-path=/dev/shm/pool"
    ]


def test_the_hypervisor_bit_is_off_and_the_accelerator_is_tcg(machine: Machine) -> None:
    assert "hypervisor=off" in values(machine, "-cpu")[0]
    assert values(machine, "-accel") == ["tcg,thread=multi"]
    assert values(machine, "-icount") == []


def test_icount_runs_one_thread_and_does_not_sleep(machine: Machine) -> None:
    machine = replace(machine, time="icount")
    assert values(machine, "-accel") == ["tcg,thread=single"]
    assert values(machine, "-icount") == ["shift=0,sleep=off"]


def test_an_nvme_drive_is_there_where_it_is_asked_for(machine: Machine) -> None:
    assert not any(value.startswith("nvme") for value in values(machine, "-device"))
    machine = replace(machine, host=Host(nvme="16M"))  # type: ignore[arg-type]
    (device,) = [value for value in values(machine, "-device") if value.startswith("nvme")]
    assert "drive=nvme" in device
    assert f"file={RUN}/nvme.img,format=raw,if=none,id=nvme" in values(machine, "-drive")[1]


def test_every_host_has_the_tracker_device(machine: Machine) -> None:
    assert "ivshmem-plain,memdev=hpt,bus=pcie.0" in values(machine, "-device")
    assert f"mem-path={RUN}/hpt.bar" in " ".join(values(machine, "-object"))
    assert values(machine, "-plugin") == []


def test_the_plugin_gets_its_files_and_parameters(machine: Machine) -> None:
    plugin = Plugin(Path("/p/lib,x.so"), {"llc_ways": "16"})
    loaded = replace(machine, plugin=plugin)
    assert values(loaded, "-plugin") == [
        f"/p/lib,,x.so,bar={RUN}/hpt.bar,pac={RUN}/pac,llc_ways=16"
    ]


def test_the_guest_cannot_write_checkout_artifacts_or_image(machine: Machine) -> None:
    shares = {value.split(",")[1]: value for value in values(machine, "-fsdev")}
    assert {name for name, value in shares.items() if "readonly=on" in value} == {
        "id=src",
        "id=artifacts",
    }
    assert "snapshot=on" in values(machine, "-drive")[0]


def test_the_kernel_is_a_parameter(machine: Machine) -> None:
    assert values(replace(machine, kernel="lts"), "-kernel") == ["/cache/vmlinuz-6.12"]
    assert values(machine, "-initrd") == ["/cache/initrd-7.3"]


def test_devices_name_their_bus(machine: Machine) -> None:
    """Without one QEMU would plug them into the CXL bridge."""
    without = [value for value in values(machine, "-device") if "bus=" not in value]
    assert all(value.startswith(("virtserialport", "virtconsole")) for value in without)


def test_hosts_of_a_pod_differ(machine: Machine) -> None:
    cable, other_end = (
        Cable(Path(f"/run/net{own}"), Path(f"/run/net{peer}")) for own, peer in ((0, 1), (1, 0))
    )
    one = replace(machine, network=cable)
    other = replace(machine, network=other_end, number=1, name="b")
    for option, part in (("-device", "mac="), ("-device", "sn="), ("-append", "machine_id=")):
        assert [v for v in values(one, option) if part in v] != [
            v for v in values(other, option) if part in v
        ]
    assert (
        "local.path=/run/net0,remote.type=unix,remote.path=/run/net1" in values(one, "-netdev")[0]
    )


def test_nics_are_at_the_ports_of_a_hub_by_names_that_the_monitor_knows(machine: Machine) -> None:
    segment = Segment(Path("/run"), ports=3)
    machine = replace(machine, nics=(segment.cable(1), segment.cable(2)), number=2)
    devices = [value for value in values(machine, "-device") if value.startswith("virtio-net")]
    assert [nic_id(number) in device for number, device in enumerate(devices)] == [True, True]
    assert len({re.search("mac=([^,]+)", device)[1] for device in devices}) == 2  # type: ignore[index]
    ends = values(machine, "-netdev")
    hub = [word for word in segment.arguments() if word.startswith("dgram")]
    assert len(hub) == 3
    for end, port in zip(ends, hub[1:], strict=True):
        own, peer = (re.search(f"{side}.path=([^,]+)", end) for side in ("local", "remote"))
        assert own is not None
        assert peer is not None
        assert f"local.type=unix,local.path={peer[1]},remote.type=unix,remote.path={own[1]}" in port
