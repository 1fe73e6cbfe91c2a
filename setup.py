"""`pip install` compiles the native parts as `make native` does: into what is installed.

An editable installation leaves them to `make native`, which puts them beside their sources.
All else is in pyproject.toml.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

BUILD = "userspace/tiermem/native/build.py"


class BuildNative(build_py):
    """The package's files, and what is compiled."""

    def run(self) -> None:
        package = Path(self.build_lib).resolve() / "tiermem"
        # What an earlier build left would be installed again, deleted modules too.
        if package.exists():
            shutil.rmtree(package)
        super().run()
        if self.editable_mode:
            return
        native = package / "native"
        if subprocess.run([sys.executable, BUILD, "--out", str(native)]).returncode != 0:
            sys.exit("tiermem: its native parts do not compile; see above")
        shutil.rmtree(native / ".build")


class OfThisPlatform(Distribution):
    """A wheel has machine code in it."""

    def has_ext_modules(self) -> bool:
        return True


setup(cmdclass={"build_py": BuildNative}, distclass=OfThisPlatform)
