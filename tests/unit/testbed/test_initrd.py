"""The ramdisk: what is in it, and in which order modules are loaded."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest
from tiermem.testbed.errors import BuildError
from tiermem.testbed.initrd import module_files, write_initrd

RELEASE = "9.9-test"
DEPENDENCIES = """\
kernel/fs/ext4/ext4.ko.xz: kernel/lib/crc16.ko.xz kernel/fs/jbd2/jbd2.ko.xz
kernel/fs/jbd2/jbd2.ko.xz:
kernel/lib/crc16.ko.xz:
kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio-ring.ko
kernel/drivers/virtio/virtio-ring.ko:
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A Debian root with a few modules; virtio_blk is built into its kernel."""
    folder = tmp_path / "usr/lib/modules" / RELEASE
    for line in DEPENDENCIES.splitlines():
        file = folder / line.split(":")[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        content = f"module {file.name}".encode()
        file.write_bytes(lzma.compress(content) if file.suffix == ".xz" else content)
    (folder / "modules.dep").write_text(DEPENDENCIES)
    (folder / "modules.builtin").write_text("kernel/drivers/block/virtio_blk.ko\n")
    (tmp_path / "usr/bin").mkdir()
    (tmp_path / "usr/bin/busybox").write_bytes(b"busybox!")
    return tmp_path


def test_modules_come_after_what_they_need(root: Path) -> None:
    found = module_files(root / "usr/lib/modules" / RELEASE, ["virtio_pci", "virtio_blk", "ext4"])
    names = [file.name.split(".")[0] for file in found]
    assert names == ["virtio-ring", "virtio_pci", "crc16", "jbd2", "ext4"]


def test_a_module_that_is_not_there_is_named(root: Path) -> None:
    with pytest.raises(BuildError, match="kernel module nvme is not in"):
        list(module_files(root / "usr/lib/modules" / RELEASE, ["nvme"]))


def unpack(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Mode and content by name, read as the kernel's documentation lays the format out."""
    entries, at = {}, 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + name_size - 1].decode()
        data = (at + 110 + name_size + 3) // 4 * 4
        if name == "TRAILER!!!":
            return entries
        entries[name] = (mode, archive[data : data + size])
        at = (data + size + 3) // 4 * 4


def test_what_is_in_it(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "initrd"
    write_initrd(root, RELEASE, target)
    entries = unpack(target.read_bytes())
    assert entries["bin/busybox"] == (0o100755, b"busybox!")
    assert entries["modules/ext4.ko"][1] == b"module ext4.ko.xz"
    assert entries["root"][0] == 0o040755
    mode, script = entries["init"]
    assert mode == 0o100755
    assert b"virtio-ring.ko virtio_pci.ko crc16.ko jbd2.ko ext4.ko" in script
