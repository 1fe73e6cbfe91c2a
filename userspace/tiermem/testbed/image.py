"""The guest's disk image, its kernels and their initial ramdisks.

Made from the guest's Debian root plus the files under `guest_root/`, which lie
there as they lie in the guest. Guests never write the image (QEMU snapshots).
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

from tiermem.testbed import cache, initrd
from tiermem.testbed.errors import BuildError
from tiermem.testbed.namespace import as_root_prefix
from tiermem.testbed.progress import Progress, run_logged

GUEST_FILES = Path(__file__).parent / "guest_root"

_IMAGE_SIZE = "4G"
_ENABLED_UNITS = (
    "opt-tiermem-artifacts.mount",
    "opt-tiermem-exec.mount",
    "opt-tiermem-out.mount",
    "opt-tiermem-src.mount",
    "qemu-guest-agent.service",
    "tiermem-cxl.service",
    "tiermem-shell.service",
    "tiermem-tlb.service",
)
# They cost boot time under TCG, or act by themselves in the middle of a measurement.
# udev is among them: the kernel's own devtmpfs and a few modprobes do here.
_MASKED_UNITS = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "cxl-monitor.service",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "getty.target",
    "iperf3.service",
    "kmod-static-nodes.service",
    "ldconfig.service",
    "memcached.service",
    "ndctl-monitor.service",
    "proc-sys-fs-binfmt_misc.automount",
    "redis-server.service",
    "run-lock.mount",
    "serial-getty@ttyS0.service",
    "ssh.service",
    "ssh.socket",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "systemd-binfmt.service",
    "systemd-firstboot.service",
    "systemd-hibernate-clear.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-journal-flush.service",
    "systemd-logind.service",
    "systemd-machine-id-commit.service",
    "systemd-pcrmachine.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-pcrphase.service",
    "systemd-pstore.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-sysctl.service",
    "systemd-sysusers.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-tmpfiles-setup-dev-early.service",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-tpm2-setup-early.service",
    "systemd-tpm2-setup.service",
    "systemd-udev-load-credentials.service",
    "systemd-udev-trigger.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udevd.service",
    "systemd-update-done.service",
    "systemd-update-utmp.service",
    "systemd-user-sessions.service",
    "tmp.mount",
)
# Unpacked in the image, since the guest's processor is slow; with all that they need.
_BOOT_MODULES = (
    *("virtio_console", "virtio_net", "9p", "9pnet_virtio"),
    *("cxl_acpi", "cxl_pci", "cxl_mem", "cxl_port", "dax_cxl", "device_dax", "kmem"),
)
_MAKE_IMAGE = r"""
set -eu
root=$1 files=$2 target=$3 size=$4 enabled=$5 masked=$6 modules=$7
work=$(dirname "$root")/.image-$$
trap 'rm -rf "$work"' EXIT
cp -al "$root" "$work"
cp -r --remove-destination "$files/." "$work/"
rm -rf "$work"/boot/* "$work"/initrd.img* "$work"/vmlinuz* "$work"/var/cache/apt/* \
    "$work"/var/lib/apt/lists/* "$work"/usr/lib/udev/hwdb.d "$work"/etc/fstab "$work"/etc/hostname
mkdir -p "$work"/opt/tiermem/src "$work"/opt/tiermem/artifacts \
    "$work"/opt/tiermem/out "$work"/opt/tiermem/exec
units=$work/etc/systemd/system
rm -f "$work/usr/lib/systemd/system/multi-user.target.wants/dbus.service"
mkdir -p "$units/multi-user.target.wants"
for unit in $masked; do rm -f "$units/$unit"; ln -s /dev/null "$units/$unit"; done
for unit in $enabled; do ln -sf "../$unit" "$units/multi-user.target.wants/$unit"; done
rm -f "$work/etc/modprobe.d/nvdimm-security.conf"
# Debian's packages came compiled.
chroot "$work" sh -c 'python3 -m compileall -q /usr/local/lib/python3*/dist-packages'
# Where tiermem keeps compiled Python (its sources are read-only) Python looks for all of it.
mkdir -p "$work/var/cache/tiermem-pycache"
(cd "$work" && find usr/lib/python3* usr/local/lib/python3* -name '*.pyc' -print0 |
    tar --create --null --files-from=- --transform='s,__pycache__/,,' |
    tar --extract --directory=var/cache/tiermem-pycache)
mkdir -p "$work/var/cache/tiermem-pycache/opt/tiermem/src/userspace"
ln -s /opt/tiermem/artifacts/bytecode \
    "$work/var/cache/tiermem-pycache/opt/tiermem/src/userspace/tiermem"
for module in $modules; do
    xz --decompress --stdout "$work/$module" > "$work/${module%.xz}"
    rm "$work/$module"
done
for release in "$work"/usr/lib/modules/*; do chroot "$work" depmod "${release##*/}"; done
mke2fs -q -t ext4 -L tiermem -O ^has_journal -E lazy_itable_init=1 -d "$work" "$target" "$size"
"""


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A bootable kernel of the image."""

    release: str
    vmlinuz: Path
    initrd: Path


@dataclasses.dataclass(frozen=True)
class Image:
    """The guest's disk and kernels, and the Debian root they came from."""

    disk: Path
    root: Path
    kernels: dict[str, Kernel]


def build_image(root: Path, progress: Progress) -> Image:
    """The image made of a guest root, from the cache if nothing changed."""
    files = [file for file in GUEST_FILES.rglob("*") if file.is_file()]
    digest = cache.digest_of(
        root.parent.name,
        cache.digest_of_files(GUEST_FILES, files),
        *(_MAKE_IMAGE, _IMAGE_SIZE, *_ENABLED_UNITS, *_MASKED_UNITS, *_BOOT_MODULES),
        *(initrd.VERSION, initrd.INIT_SCRIPT, *initrd.ROOT_DISK_MODULES),
    )

    def build(folder: Path) -> None:
        with progress.step("guest image") as step:
            command = ["sh", "-c", _MAKE_IMAGE, "make-image", str(root), str(GUEST_FILES)]
            command += [str(folder / "disk.img"), _IMAGE_SIZE]
            command += [" ".join(_ENABLED_UNITS), " ".join(_MASKED_UNITS)]
            command.append(" ".join(_packed_boot_modules(root)))
            run_logged([*as_root_prefix(), *command], step, "making the guest image")
            for release in kernel_releases(root).values():
                source = root / "boot" / f"vmlinuz-{release}"
                (folder / f"vmlinuz-{release}").write_bytes(source.read_bytes())
                initrd.write_initrd(root, release, folder / f"initrd-{release}")

    folder = cache.stage("image", digest, build)
    kernels = {
        name: Kernel(release, folder / f"vmlinuz-{release}", folder / f"initrd-{release}")
        for name, release in kernel_releases(root).items()
    }
    return Image(folder / "disk.img", root, kernels)


def _packed_boot_modules(root: Path) -> list[str]:
    packed = []
    for release in kernel_releases(root).values():
        folder = root / "usr/lib/modules" / release
        files = initrd.module_files(folder, _BOOT_MODULES)
        packed += [str(file.relative_to(root)) for file in files if file.suffix == ".xz"]
    return packed


def kernel_releases(root: Path) -> dict[str, str]:
    """The releases of a root's kernels, "newest" and "lts", which is Debian's own 6.12."""
    releases = [folder.name for folder in (root / "usr/lib/modules").iterdir()]
    releases.sort(key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    lts = [name for name in releases if name.startswith("6.12.")]
    if not lts or releases[-1] == lts[-1]:
        found = shlex.join(releases) or "none"
        raise BuildError(f"the guest root should hold kernel 6.12 and a newer one; it has {found}")
    return {"newest": releases[-1], "lts": lts[-1]}
