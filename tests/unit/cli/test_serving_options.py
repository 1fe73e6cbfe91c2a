"""`tiermem serving options`, as it is typed: the plugin takes what is printed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from tiermem.cli.main import main
from tiermem.serving.kv.settings import read_settings

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Exit status, standard output and standard error, in this process."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["tiermem", "serving", "options", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_what_is_printed_is_what_the_plugin_takes(options: Typed, tmp_path: Path) -> None:
    file = tmp_path / "kv"
    status, printed, seen = options(
        *("--memory", "64MiB", "--node", 0, "--ssd", file, "--ssd-capacity", "1GiB"),
        *("--eviction", "arc", "--emulated-bandwidth", 10**10, "--emulated-latency", 250),
    )
    assert status == 0
    words = shlex.split(printed.replace("\\\n", " "))
    assert words[0::2] == ["--kv-transfer-config", "--scheduler-cls"]
    given = json.loads(words[1])
    assert given["kv_load_failure_policy"] == "recompute"
    settings = read_settings(given["kv_connector_extra_config"])
    assert settings.memory.capacity == 64 << 20
    assert settings.memory.nodes == (0,)
    assert settings.ssd is not None
    assert settings.ssd.path == file
    assert settings.eviction == "arc"
    assert "emulated 10 GB/s 250 ns on" in seen
    assert f"1.0 GiB in {file}, which will be made" in seen
    assert not file.exists()


def test_cxl_memory_lies_below_memory_and_is_what_is_emulated(options: Typed) -> None:
    status, printed, seen = options(
        *("--memory", "8MiB", "--node", 0, "--cxl", "16MiB", "--json"),
        *("--emulated-bandwidth", 10**10, "--emulated-latency", 250),
    )
    assert (status, seen) == (0, "")
    said = json.loads(printed)
    extra = said["kv_transfer_config"]["kv_connector_extra_config"]
    settings = read_settings(extra)
    assert settings.cxl is not None
    assert (settings.memory.emulated, settings.cxl.capacity) == (None, 16 << 20)
    memory, cxl = (remark["text"] for remark in said["remarks"])
    assert ("emulated" in memory, "emulated 10 GB/s 250 ns on" in cxl) == (False, True)


def test_json_is_for_scripts(options: Typed) -> None:
    status, printed, seen = options(
        "--memory", 4 << 20, "--node", 0, "--scheduler", "vllm", "--json"
    )
    said = json.loads(printed)
    assert (status, seen) == (0, "")
    assert said["arguments"] == ["--kv-transfer-config", json.dumps(said["kv_transfer_config"])]
    assert [remark["tier"] for remark in said["remarks"]] == ["memory"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--memory", "much"], 2, "memory.capacity"),
        (["--memory", "1MiB", "--tier", "middle"], 2, "must be 'fastest' or 'slowest'"),
        (["--memory", "1PiB", "--node", "0"], 6, "can give"),
        (["--memory", "1MiB", "--node", "0", "--tier", "0"], 2, "only one of the two"),
        (["--memory", "1MiB", "--ssd", "/kv"], 2, "--ssd: needs --ssd-capacity beside it"),
        (["--memory", "1MiB", "--pool-capacity", "1"], 2, "--pool-capacity: needs --pool beside"),
        (["--memory", "1MiB", "--emulated-latency", "9"], 2, "needs --emulated-bandwidth"),
    ],
)
def test_mistakes_are_one_line(options: Typed, words: list[str], status: int, said: str) -> None:
    ended, printed, error = options(*words)
    assert (ended, printed) == (status, "")
    assert said in error
    assert error.count("\n") == 1


def test_another_host_is_not_looked_at(options: Typed) -> None:
    status, _, seen = options("--memory", "1PiB", "--tier", 7, "--no-check")
    assert (status, seen) == (0, "")


def test_help_teaches(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    for words in ([], ["options"], ["top"]):
        monkeypatch.setattr("sys.argv", ["tiermem", "serving", *words, "--help"])
        with pytest.raises(SystemExit):
            main()
    text = capsys.readouterr().out
    assert "tiermem serving options --memory 64GiB --tier slowest" in text
    assert "tiermem serving top --once --json" in text
    assert 'extra "serving"' in text
