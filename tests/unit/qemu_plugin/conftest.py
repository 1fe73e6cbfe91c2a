"""The plugin's parts that know nothing of QEMU, compiled for the host."""

from __future__ import annotations

import ctypes
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiermem.native._uapi import lib

from bench.host_bar import HostBar

MODELS = Path(__file__).resolve().parents[3] / "fpga_models"
MEMSYS_WORDS = 21  # struct ms_parameters: 13 numbers, then latency and bandwidth of 4 tiers
LLC_BYTES = 128 << 10
STAY, ARM, DISARM = range(3)


class Options(ctypes.Structure):
    """struct device_options."""

    _fields_ = (
        ("bar_path", ctypes.c_char_p),
        ("pac_path", ctypes.c_char_p),
        ("pac_limit_bytes", ctypes.c_uint64),
        ("trace_path", ctypes.c_char_p),
        ("trace_records", ctypes.c_uint64),
        ("seed", ctypes.c_uint64),
        ("nr_vcpus", ctypes.c_uint32),
        ("parameters", ctypes.c_uint64 * MEMSYS_WORDS),
    )


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Everything but qemu/plugin.c as a shared library."""
    target = tmp_path_factory.mktemp("device") / "device.so"
    sources = [file for file in MODELS.glob("*/*.c") if file.name != "plugin.c"]
    includes = [f"-I{MODELS / room}" for room in ("memsys", "trackers", "qemu")]
    flags = ["-std=c99", "-D_GNU_SOURCE", "-O0", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror"]
    command = ["gcc", *flags, *includes, f"-I{MODELS.parent / 'kmod/uapi'}", "-o", str(target)]
    subprocess.run([*command, *map(str, sources), "-lpthread"], check=True)
    loaded = ctypes.CDLL(str(target))
    loaded.device_open.restype = ctypes.c_void_p
    for name in ("device_is_rung", "device_owns"):
        getattr(loaded, name).restype = ctypes.c_bool
    return loaded


def parse_options(
    library: ctypes.CDLL, settings: dict[str, str]
) -> tuple[Options | None, str, list[bytes]]:
    """(options, error, the arguments that options' strings point into)."""
    words = [f"{key}={value}".encode() for key, value in settings.items()]
    argv = (ctypes.c_char_p * len(words))(*words)
    options, error = Options(), ctypes.create_string_buffer(512)
    if library.options_parse(ctypes.byref(options), len(words), argv, error, len(error)):
        return None, error.value.decode(), words
    return options, "", words


def default_settings(folder: Path) -> dict[str, str]:
    parameters = tomllib.loads((MODELS / "memsys/defaults.toml").read_text())
    files = {"bar": str(folder / "bar"), "pac": str(folder / "pac")}
    return files | {key: str(value) for key, value in parameters.items()}


class Device:
    """A device and its register page. Commands are served at once by `ring`."""

    def __init__(self, library: ctypes.CDLL, folder: Path, **changes: str) -> None:
        settings = default_settings(folder) | {
            "llc_bytes": str(LLC_BYTES),
            "pac_limit_bytes": str(1 << 30),
            **changes,
        }
        options, refusal, self._words = parse_options(library, settings)
        assert options is not None, refusal
        options.nr_vcpus = 1
        error = ctypes.create_string_buffer(512)
        self.library = library
        self.handle = ctypes.c_void_p(library.device_open(ctypes.byref(options), error, 512))
        assert self.handle.value, error.value
        self.bar = HostBar(folder / "bar")
        self.pac_path = folder / "pac"

    @property
    def regs(self) -> Any:
        return self.bar.regs

    def store(self, opcode: int, *arguments: int, side: str = "guest") -> Any:
        """Fill a command block and its doorbell; returns the block."""
        block = getattr(self.regs, side)
        block.opcode = opcode
        block.arg0, block.arg1, block.arg2 = (*arguments, 0, 0, 0)[:3]
        block.doorbell = block.doorbell + 1
        return block

    def ring(self, opcode: int, *arguments: int, side: str = "guest") -> int:
        """Issue a command that needs no switching; its error."""
        block = self.store(opcode, *arguments, side=side)
        assert self.poll() == STAY
        assert block.completed == block.doorbell
        return int(block.error)

    def poll(self) -> int:
        return int(self.library.device_poll(self.handle))

    def switch(self, armed: bool) -> None:
        self.library.device_switch(self.handle, ctypes.c_bool(armed))

    def access(
        self, address: int, *, write: bool = False, instructions: int = 0, vcpu: int = 0
    ) -> None:
        self.library.device_access(
            self.handle,
            ctypes.c_uint32(vcpu),
            ctypes.c_uint64(address),
            ctypes.c_bool(write),
            ctypes.c_uint64(instructions),
        )

    def configure(self, base: int, size: int) -> int:
        """One range of tier 1, tracked; HPT and HWT on with M5's parameters, PAC on."""
        config = self.regs.config
        config.ranges[0].base, config.ranges[0].bytes, config.ranges[0].tier = base, size, 1
        config.nr_ranges = 1
        config.exact_enabled = 1 << lib.TIERMEM_LIST_PAC
        config.track_base, config.track_bytes = base, size
        for tracker in (config.hpt, config.hwt):
            tracker.enabled, tracker.algorithm = 1, lib.TIERMEM_ALG_CM_SKETCH
            tracker.rows, tracker.columns, tracker.counter_bits = 4, 4096, 14
            tracker.entries = 25
        return self.ring(lib.TIERMEM_CMD_CONFIGURE)

    def close(self) -> None:
        self.bar.close()
        self.library.device_close(self.handle)


@pytest.fixture
def device(library: ctypes.CDLL, tmp_path: Path) -> Iterator[Device]:
    made = Device(library, tmp_path)
    yield made
    made.close()
