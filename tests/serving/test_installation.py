"""`pip install 'checkout[serving]'` beside vLLM: all that is compiled is in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiermem.native.build import EXTENSIONS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip would put into an environment."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", folder / "wheel", ROOT], check=True)
    [wheel] = (folder / "wheel").glob("tiermem-*.whl")
    assert not wheel.name.endswith("-none-any.whl"), "there is machine code in it"
    subprocess.run([*pip, "install", "--no-deps", "-t", folder / "packages", wheel], check=True)
    return folder / "packages"


def test_every_native_part_is_there(installed: Path) -> None:
    native = installed / "tiermem/native"
    assert sorted(one.name.split(".")[0] for one in native.glob("*.so")) == sorted(
        f"_{name}" for name in EXTENSIONS
    )
    assert os.access(native / "restorer/tiermem-restorer", os.X_OK)
    assert not (native / ".build").exists()


def test_it_works_away_from_the_checkout(installed: Path) -> None:
    script = (
        "import tiermem, tiermem.native._kv, tiermem.native._prefill_attention\n"
        "from tiermem.cli.main import main\n"
        "import sys; sys.argv = ['tiermem', 'serving', 'options', '--memory', '64MiB']\n"
        "print(tiermem.__file__, flush=True); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(installed)},
        cwd=installed,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(installed))
    assert '"kv_connector": "TieredKV"' in done.stdout
