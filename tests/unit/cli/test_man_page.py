"""The manual page says what --help says."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from tiermem.cli.main import VERBS, load_verb
from tiermem.cli.man_page import page


@pytest.fixture(scope="module")
def text() -> str:
    return page()


def test_every_verb_and_option_is_there(text: str) -> None:
    for verb in VERBS:
        assert f".SS tiermem {verb}" in text
    for parameter in load_verb("probe").params:
        for option in parameter.opts:
            assert option.replace("-", "\\-").lower() in text.lower()


def test_commands_of_a_group_have_their_own_section(text: str) -> None:
    for name in load_verb("testbed").commands:
        assert f".SS tiermem testbed {name}" in text


def test_no_help_text_becomes_a_request(text: str) -> None:
    requests = {line.split()[0] for line in text.splitlines() if line.startswith((".", "'"))}
    assert requests <= {".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".I", ".RI"}


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_formats_it_without_a_warning(text: str) -> None:
    done = subprocess.run(
        ["groff", "-man", "-Kutf8", "-Tutf8", "-ww", "-z"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
