"""What the verbs show people: rich's console, tables and bars.

Rich is loaded when there is something to show. A daemon, and a command line that prints JSON,
would only wait for it: its import takes as long as all else that they need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress
    from rich.table import Table


def show(what: RenderableType) -> None:
    """Print it on standard output."""
    new_console().print(what)


def new_console(*, stderr: bool = False) -> Console:
    """Standard output, or standard error output, as rich writes there."""
    from rich.console import Console

    return Console(stderr=stderr)


def new_table(*headings: str, **how: Any) -> Table:
    """An empty table with these columns; `how` as rich's Table takes it."""
    from rich.table import Table

    return Table(*headings, **how)


def bytes_bar(text: str, *, transient: bool = False) -> Progress:
    """A bar of bytes done, with their rate; `text` may name `{task.description}`."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn(text), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=new_console(stderr=True), transient=transient)
