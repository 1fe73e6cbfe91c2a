"""Instances by CRIU, to compare with: they answer as those of CXLfork's images do."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest
from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.porter.criu import CriuImages
from tiermem.cxlfork.porter.instance import start_cold
from tiermem.errors import MissingError, TiermemError

from tests.unit.cxlfork.targets import eventually

FUNCTION = """
import os
calls = 0

def handle(event):
    global calls
    calls += 1
    return [event, calls, os.getpid()]
"""
FAILS = "#!/bin/sh\necho 'Error (cr-dump.c): there is a socket' > \"${5}/dump.log\"\nexit 1\n"


@pytest.fixture
def function(tmp_path: Path) -> Path:
    file = tmp_path / "f.py"
    file.write_text(FUNCTION)
    return file


@pytest.mark.skipif(shutil.which("criu") is None or os.geteuid() != 0, reason="needs criu and root")
def test_restored_instances_go_on_from_the_image_each_by_itself(
    tmp_path: Path, function: Path
) -> None:
    async def main() -> None:
        images = CriuImages(tmp_path / "images")
        warm = await start_cold(function, 60)
        first = [await warm.call("a", 60) for _ in range(3)]
        await images.take("f", warm.pid)
        assert await images.known() == ["f"]
        clones = [await images.restore("f", Policy.MOW) for _ in range(2)]
        for one in (warm, *clones):
            assert await one.call("b", 60) == ["b", 4, first[0][2]]
        assert [one.how for one in clones] == ["criu", "criu"]
        assert len({warm.pid, *(one.pid for one in clones)}) == 3
        for one in (warm, *clones):
            one.close()
            eventually(lambda pid=one.pid: not Path(f"/proc/{pid}").exists(), "it has ended")
        await images.remove("f")
        assert await images.known() == []

    asyncio.run(main())


def test_without_criu_the_porter_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="criu is not installed"):
        asyncio.run(CriuImages(tmp_path).known())


def test_a_dump_that_fails_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    criu = tmp_path / "criu"
    criu.write_text(FAILS)
    criu.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    images = CriuImages(tmp_path / "images")
    with pytest.raises(TiermemError, match=r"criu dump of process \d+: .*there is a socket"):
        asyncio.run(images.take("f", os.getpid()))
    assert asyncio.run(images.known()) == []
    assert not (tmp_path / "images/f").exists()
