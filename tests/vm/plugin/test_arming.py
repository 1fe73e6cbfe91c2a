"""Idle until armed, from the host and from the guest, and idle again."""

from __future__ import annotations

import pytest
from tiermem.native._uapi import lib
from tiermem.testbed import Guest

from tests.vm.plugin.conftest import Device

BUSY = ["sh", "-c", "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done"]


def instructions(device: Device) -> int:
    return int(device.bar.clock().vcpus["instructions"].sum())


def test_the_register_page_names_the_device(device: Device) -> None:
    regs = device.bar.regs
    assert regs.magic == int.from_bytes(b"TIERMEM1", "little")
    assert regs.version == lib.TIERMEM_REGS_VERSION
    assert regs.state == lib.TIERMEM_STATE_IDLE
    assert regs.nr_vcpus == 2
    assert regs.features == 0b1111


def test_the_clock_stands_while_idle_and_runs_while_armed_any_number_of_times(
    device: Device,
) -> None:
    rearms = device.bar.regs.rearms
    for turn in range(1, 4):
        idle = instructions(device)
        device.guest.check(BUSY)
        assert instructions(device) == idle

        device.arm()
        assert device.bar.regs.state == lib.TIERMEM_STATE_ARMED
        assert device.bar.clock().armed
        device.guest.check(BUSY)
        assert instructions(device) > idle + 1_000_000

        device.disarm()
        assert device.bar.regs.state == lib.TIERMEM_STATE_IDLE
        assert not device.bar.clock().armed
        assert device.bar.regs.rearms == rearms + turn


def test_arming_what_is_armed_changes_nothing(device: Device) -> None:
    device.arm()
    rearms = device.bar.regs.rearms
    device.arm()
    assert device.bar.regs.rearms == rearms
    assert device.bar.regs.state == lib.TIERMEM_STATE_ARMED


class Doorbell:
    """in_guest/doorbell.c with the BAR found through sysfs."""

    def __init__(self, guest: Guest) -> None:
        find = "for d in /sys/bus/pci/devices/*; do"
        find += ' [ "$(cat $d/vendor)$(cat $d/device)" = 0x1af40x1110 ] && echo $d; done; true'
        self.guest = guest
        self.folder = guest.check(["sh", "-c", find]).stdout.strip()
        lines = guest.check(["cat", f"{self.folder}/resource"]).stdout.splitlines()
        self.bar_phys = lines[lib.TIERMEM_BAR].split()[0]
        guest.check(["sh", "-c", f"echo 1 > {self.folder}/enable"])

    def ring(self, opcode: int, *arguments: int, now: bool = False) -> tuple[int, int]:
        """(error, state) once the command is done."""
        words = [str(value) for value in (opcode, *(*arguments, 0, 0, 0)[:3])]
        resource = f"{self.folder}/resource{lib.TIERMEM_BAR}"
        command = ["/tmp/doorbell", resource, self.bar_phys, *words, "now" if now else "wait"]
        _, error, state = self.guest.check(command).stdout.split()
        return int(error), int(state)


def test_the_guest_arms_queries_and_disarms_through_the_register_page(device: Device) -> None:
    doorbell = Doorbell(device.guest)
    none = lib.TIERMEM_HWERR_NONE
    assert doorbell.ring(lib.TIERMEM_CMD_ARM) == (none, lib.TIERMEM_STATE_ARMED)
    lists = device.bar.regs.list_head[lib.TIERMEM_LIST_PAC]
    # A query is done before the guest's next load, without any waiting.
    answer = doorbell.ring(lib.TIERMEM_CMD_QUERY, lib.TIERMEM_LIST_PAC, 25, now=True)
    assert answer == (none, lib.TIERMEM_STATE_ARMED)
    assert device.bar.regs.list_head[lib.TIERMEM_LIST_PAC] == lists + 1
    assert doorbell.ring(lib.TIERMEM_CMD_DISARM) == (none, lib.TIERMEM_STATE_IDLE)
    assert doorbell.ring(lib.TIERMEM_CMD_ARM) == (none, lib.TIERMEM_STATE_ARMED)


@pytest.mark.parametrize(
    ("opcode", "arguments", "error"),
    [
        (99, (), "OPCODE"),
        (lib.TIERMEM_CMD_QUERY, (lib.TIERMEM_LIST_KINDS, 25), "ARGUMENT"),
        (lib.TIERMEM_CMD_QUERY, (lib.TIERMEM_LIST_HPT, 0), "ARGUMENT"),
        (lib.TIERMEM_CMD_QUERY, (lib.TIERMEM_LIST_HPT, 4097), "ARGUMENT"),
        (lib.TIERMEM_CMD_QUERY, (lib.TIERMEM_LIST_WAC, 25), "STATE"),
        (lib.TIERMEM_CMD_CLEAR, (1 << lib.TIERMEM_LIST_KINDS,), "ARGUMENT"),
    ],
)
def test_a_wrong_command_is_answered_with_its_error(
    device: Device, opcode: int, arguments: tuple[int, ...], error: str
) -> None:
    heads = list(device.bar.regs.list_head)
    assert device.bar.command(opcode, *arguments) == getattr(lib, f"TIERMEM_HWERR_{error}")
    assert list(device.bar.regs.list_head) == heads
