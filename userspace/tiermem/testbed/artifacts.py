"""What is compiled for the testbed: the QEMU plugin, kernel modules, native extensions, Python.

All of it is built in the guests' Debian root (same libc, same Python, the
kernels' headers), from a copy of the sources, and cached by their content.
"""

from __future__ import annotations

import dataclasses
import shutil
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from tiermem.errors import ConfigError
from tiermem.testbed import cache
from tiermem.testbed.image import Image
from tiermem.testbed.namespace import chroot_command
from tiermem.testbed.progress import Progress, run_logged

PLUGIN_NAME = "libtiermem_cxl.so"

_SOURCE_SUFFIXES = {".c", ".h", ".S", ".py", ".toml", ".mk"}
_SOURCE_NAMES = {"Makefile", "Kbuild"}
# Options of the plugin that have no default: record a trace for `tiermem replay`.
_RECORDING = {"trace", "trace_records"}
_MODELS = ("fpga_models", "kmod/uapi")
_PACKAGE = "userspace/tiermem"
# Each file is compared by its hash when it is imported: the guest sees the checkout itself.
_COMPILE_PYTHON = (
    *("env", "PYTHONPYCACHEPREFIX=/mnt/out", "python3", "-m", "compileall", "-q"),
    *("--invalidation-mode", "checked-hash", "-s", "/mnt/src", "-p", "/opt/tiermem/src"),
    f"/mnt/src/{_PACKAGE}",
)
_NATIVE = (
    "userspace/tiermem/__init__.py",
    "userspace/tiermem/errors.py",
    "userspace/tiermem/native",
)


@dataclasses.dataclass(frozen=True)
class Artifacts:
    """What is there for a guest. An absent plugin means its sources are not there.

    bytecode: folder of compiled Python, since a guest's processor is slow; native: folder of
    extension modules; modules: folder of *.ko by kernel release.
    """

    bytecode: Path | None
    native: Path | None
    modules: dict[str, Path]
    plugin: Path | None

    def install(self, target: Path) -> None:
        """Lay the guest's part out as it sees it under /opt/tiermem/artifacts."""
        if self.bytecode is not None:
            shutil.copytree(self.bytecode, target / "bytecode")
        if self.native is not None:
            shutil.copytree(self.native, target / "native")
        for release, folder in self.modules.items():
            shutil.copytree(folder, target / "modules" / release)


def build_artifacts(
    root: Path, image: Image, checkout: Path, progress: Progress, *, plugin: bool
) -> Artifacts:
    """Build, or find in the cache, all that the checkout has sources for."""
    bench = _Workbench(root, checkout, progress)
    bytecode, native, modules, library = None, None, {}, None
    if (checkout / _PACKAGE).is_dir():
        out = bench.build("Python code", "bytecode", (_PACKAGE,), _COMPILE_PYTHON)
        bytecode = out / "mnt/src" / _PACKAGE
    if (checkout / "userspace/tiermem/native/build.py").is_file():
        build = ["python3", "userspace/tiermem/native/build.py", "--out", "/mnt/out"]
        native = bench.build("native code", "native", (*_NATIVE, *_MODELS), build)
    if (checkout / "kmod/Makefile").is_file():
        for kernel in image.kernels.values():
            headers = f"KDIR=/lib/modules/{kernel.release}/build"
            build = ["make", "-C", "kmod", headers, "O=/mnt/out"]
            title = f"kernel modules for {kernel.release}"
            modules[kernel.release] = bench.build(title, "modules", ("kmod",), build)
    if plugin and (checkout / "fpga_models/Makefile").is_file():
        build = ["make", "-C", "fpga_models", "all", "OUT=/mnt/out"]
        library = bench.build("QEMU plugin", "plugin", _MODELS, build) / PLUGIN_NAME
    return Artifacts(bytecode, native, modules, library)


def plugin_parameters(checkout: Path, changes: dict[str, object]) -> dict[str, str]:
    """The plugin's parameters: the model's defaults with changes, ConfigError on a wrong key."""
    file = checkout / "fpga_models/memsys/defaults.toml"
    parameters = {key: _plain(value) for key, value in tomllib.loads(file.read_text()).items()}
    for key, value in changes.items():
        if key not in parameters and key not in _RECORDING:
            raise ConfigError(f"the hardware model has no parameter {key!r}; {file} lists them")
        parameters[key] = _plain(value)
    return parameters


def _plain(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


@dataclasses.dataclass(frozen=True)
class _Workbench:
    """Compiles copies of parts of the checkout in the Debian root."""

    root: Path
    checkout: Path
    progress: Progress

    def build(self, title: str, stage: str, sources: Sequence[str], command: Sequence[str]) -> Path:
        """The folder of what `command` left in /mnt/out; it runs in /mnt/src, the copy."""
        files = list(_source_files(self.checkout, sources))
        content = cache.digest_of_files(self.checkout, files)
        digest = cache.digest_of(self.root.parent.name, content, *command)

        def compile_into(folder: Path) -> None:
            with self.progress.step(title) as step:
                for file in files:
                    copy = folder / "src" / file.relative_to(self.checkout)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(file, copy)
                (folder / "out").mkdir()
                words = ["env", "--chdir=/mnt/src", *command]
                run = chroot_command(self.root, words, {folder: "/mnt"}, {})
                run_logged(run, step, f"building {title}", log=folder / "build.log")

        return cache.stage(stage, digest, compile_into, keep=8) / "out"


def _source_files(checkout: Path, sources: Iterable[str]) -> Iterable[Path]:
    for source in sources:
        path = checkout / source
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.suffix in _SOURCE_SUFFIXES or file.name in _SOURCE_NAMES:
                yield file
