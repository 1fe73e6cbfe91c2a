"""The manual page tiermem(1), made from the command tree: `python -m tiermem.cli.man_page`.

It prints roff for man(7). Verbs, options and their help have one source, the
typer declarations, so the page cannot fall behind; `make install` puts it in
its place.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from tiermem.cli.main import VERBS, load_verb
from tiermem.errors import MissingError

HEAD = """\
.TH TIERMEM 1 "" "tiermem {version}" "User Commands"
.SH NAME
tiermem \\- a CXL memory layer for Linux
.SH SYNOPSIS
.B tiermem
.I VERB
.RI [ OPTION ]...
.SH DESCRIPTION
Places hot pages in fast memory and cold ones in CXL memory, and says what it
does and why. Each verb is described below;
.B tiermem VERB \\-\\-help
says the same.
.SH VERBS
"""

TAIL = """\
.SH EXIT STATUS
.TP
.B 0
all went well
.TP
.B 1
something failed; standard error has one line that says what
.TP
.B 2
a wrong key or value in a config file or on the command line
.TP
.B 3
the host lacks a program, module, device or right; the line says how to get it
.TP
.B 4
something did not answer in time
.SH FILES
.TP
.I /etc/tiermem/*.toml
the daemons' configs, every key explained where it is set
.TP
.I /run/tiermem
the daemons' local sockets
"""


def page() -> str:
    """The whole page."""
    verbs = "".join(section for verb in VERBS for section in _verb(verb))
    return HEAD.format(version=version("tiermem")) + verbs + TAIL


def _verb(name: str) -> Iterator[str]:
    """The sections of a verb; where it cannot run here, what it lacks."""
    try:
        command = load_verb(name)
    except MissingError as error:
        yield f".SS tiermem {name}\n{_escape(VERBS[name])}\n.PP\n{_escape(str(error))}\n"
        return
    yield from _sections(command, f"tiermem {name}")


def _sections(command: Any, path: str) -> Iterator[str]:
    """One .SS for the command, then those of the commands below it."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    names = [f"[{p.name.upper()}]" if not p.required else p.name.upper() for p in arguments]
    below: dict[str, Any] = getattr(command, "commands", {})
    usage = " ".join([path, *names, *(["COMMAND"] if below else [])])
    lines = [f".SS {_escape(usage)}", _paragraphs(command.help or "")]
    for parameter in command.params:
        if not getattr(parameter, "hidden", False):
            lines += _parameter(parameter)
    yield "\n".join(line for line in lines if line) + "\n"
    for name, subcommand in below.items():
        if not subcommand.hidden:
            yield from _sections(subcommand, f"{path} {name}")


def _parameter(parameter: Any) -> list[str]:
    """The .TP of an option or argument; nothing for an argument without help."""
    text = getattr(parameter, "help", None) or ""
    if parameter.param_type_name == "argument":
        return [".TP", f".I {_escape(parameter.name.upper())}", _escape(text)] if text else []
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    value = "" if parameter.is_flag else f" {parameter.metavar or parameter.name.upper()}"
    default = parameter.default
    if default not in (None, False, ()) and not callable(default) and not parameter.is_flag:
        text = f"{text} Default: {default}."
    return [".TP", f".B {_escape(names + value)}", _escape(text.strip()) or "\\&"]


def _paragraphs(text: str) -> str:
    """Help as running text: a blank line starts a paragraph."""
    blocks = inspect.cleandoc(text).replace("\f", "").split("\n\n")
    return "\n.PP\n".join(_escape(" ".join(block.split())) for block in blocks if block.strip())


def _escape(text: str) -> str:
    """Plain text for roff: no line begins with a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line[:1] in ".'" else line for line in escaped.split("\n"))


if __name__ == "__main__":
    print(page(), end="")
