"""The command tree: verbs are listed without their modules, loaded when called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiermem.cli.main import VERBS, build_app, load_verb


def tiermem(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("tiermem"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **environment},
    )


def test_help_lists_every_verb_and_imports_none() -> None:
    code = (
        "import sys\n"
        "from tiermem.cli.main import main\n"
        "try: main()\n"
        "finally: print([m for m in sys.modules if m.startswith('tiermem.cli.')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True
    )
    assert all(verb in result.stdout for verb in VERBS)
    assert "['tiermem.cli.main']" in result.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_module_with_a_command(verb: str) -> None:
    command = load_verb(verb)
    assert command.name == verb
    assert command.help
    assert not any("completion" in parameter.name for parameter in command.params)


def test_an_error_is_one_line_and_its_exit_code() -> None:
    result = tiermem("probe", "no-such-probe", COLUMNS="20")
    assert result.returncode == 2
    assert result.stderr.startswith("tiermem: probe 'no-such-probe': allowed is one of ")
    assert result.stderr.count("\n") == 1


def test_a_verb_that_lacks_a_module_says_which(tmp_path: Path) -> None:
    (tmp_path / "prometheus_client.py").write_text("import no_such_module\n")
    result = tiermem("m5", "run", PYTHONPATH=str(tmp_path))
    assert result.returncode == 3
    assert "needs the Python module no_such_module" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_verb_whose_native_module_is_not_built_says_how_it_is(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys; sys.modules['tiermem.native._arena'] = None\n"
    )
    result = tiermem("arena", "ls", PYTHONPATH=str(tmp_path))
    assert result.returncode == 3
    assert "tiermem.native._arena is not built: run `make native`" in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_unknown_verb_is_refused() -> None:
    result = tiermem("prob")
    assert result.returncode == 2
    assert "No such command" in result.stderr


def asking(shell: str, line: str) -> dict[str, str]:
    """What that shell sets when somebody asks how the line may go on."""
    return {
        "_TIERMEM_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": line,
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "goes_on"), [("tiermem pro", "probe"), ("tiermem probe --du", "--duration")]
)
def test_completion_knows_verbs_and_their_options(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    shell: str,
    line: str,
    goes_on: str,
) -> None:
    for name, value in asking(shell, line).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        build_app()(prog_name="tiermem")
    found = capsys.readouterr().out
    assert goes_on in found
    assert "doctor" not in found


def test_the_command_completes_itself() -> None:
    assert tiermem(**asking("bash", "tiermem pro")).stdout.split() == ["probe"]


def test_completion_installs_itself(tmp_path: Path) -> None:
    result = tiermem(
        "--install-completion",
        "bash",
        HOME=str(tmp_path),
        _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1",
    )
    assert result.returncode == 0, result.stderr
    assert any(path.is_file() for path in tmp_path.rglob("*tiermem*"))
