"""The builder compiles what changed, only that, and says what is wrong."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
from tiermem.errors import MissingError, TiermemError
from tiermem.native.build import EXTENSIONS, NATIVE, Unit, build, load_unit
from tiermem.native.cdef import declarations

MODULE = """
#include <Python.h>
int answer(void);
static struct PyModuleDef module = { PyModuleDef_HEAD_INIT, "_answer", NULL, -1, NULL };
PyMODINIT_FUNC PyInit__answer(void)
{
	PyObject *made = PyModule_Create(&module);

	PyModule_AddIntConstant(made, "answer", answer());
	return made;
}
"""


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    source = tmp_path / "answer.c"
    source.write_text('#include "answer.h"\nint answer(void) { return ANSWER; }\n')
    (tmp_path / "answer.h").write_text("#define ANSWER 42\n")
    return Unit("_answer", MODULE, (source,), (tmp_path,), ("-O0",), ())


def loaded_answer(out: Path) -> int:
    [path] = out.glob("_answer.*.so")
    loader = importlib.machinery.ExtensionFileLoader("_answer", str(path))
    spec = importlib.util.spec_from_loader("_answer", loader)
    assert spec is not None
    return int(importlib.util.module_from_spec(spec).answer)


def test_builds_once_and_again_only_when_content_changes(unit: Unit, tmp_path: Path) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    assert build(unit, out, work)
    assert loaded_answer(out) == 42
    assert not build(unit, out, work)
    unit.sources[0].touch()
    assert not build(unit, out, work)
    (tmp_path / "answer.h").write_text("#define ANSWER 43\n")
    assert build(unit, out, work)
    assert build(replace(unit, compile_args=("-O1",)), out, work)


def test_a_lost_result_is_built_again(unit: Unit, tmp_path: Path) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    build(unit, out, work)
    for path in out.iterdir():
        path.unlink()
    assert build(unit, out, work)


def test_an_error_shows_the_compilers_words_and_keeps_the_old_result(
    unit: Unit, tmp_path: Path
) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    build(unit, out, work)
    unit.sources[0].write_text("int answer(void) { return nothing; }\n")
    with pytest.raises(TiermemError, match=r"_answer: does not compile:(.|\n)*nothing"):
        build(unit, out, work)
    assert loaded_answer(out) == 42
    assert [path.suffix for path in out.iterdir()] == [".so"]


def test_an_absent_compiler_is_named(
    unit: Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-cc")
    with pytest.raises(MissingError, match="no-such-cc not found; install gcc"):
        build(unit, tmp_path / "out", tmp_path / "work")


@pytest.mark.parametrize("name", EXTENSIONS)
def test_every_extension_is_described_and_built(name: str) -> None:
    assert (NATIVE / f"{name}_build.py").exists()
    unit = load_unit(name)
    assert unit.name == f"_{name}"
    assert all(source.exists() for source in unit.sources)
    assert list(NATIVE.glob(f"_{name}.*.so"))


def test_declarations_leave_includes_and_guards_out(tmp_path: Path) -> None:
    header = tmp_path / "one.h"
    header.write_text("#ifndef TIERMEM_CDEF\n#include <stdio.h>\n#endif\nint one(void);\n")
    assert declarations([header]).strip() == "int one(void);"
    header.write_text("#error no good\n")
    with pytest.raises(TiermemError, match=r"one\.h: does not preprocess:.*no good"):
        declarations([header])
