"""Starts oasisd, as often as it is asked to, each in a process of its own.

It imports once what all of them need, which takes longer than to start them. A line on
standard input is a config file's path; the answer is the daemon's pid. The end of the input
ends it; the daemons are left to whoever asked for them.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

from tiermem.errors import TiermemError
from tiermem.oasis.serve import serve
from tiermem.oasis.settings import OasisSettings
from tiermem.service.config import load


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become_daemon(Path(line.strip()))
        print(pid, flush=True)


def _become_daemon(config: Path) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.close(0)
    logging.basicConfig(format="%(levelname)s %(message)s", filename=config.with_suffix(".log"))
    logging.getLogger("tiermem").setLevel("INFO")
    status = 0
    try:
        serve(load(config, OasisSettings))
    except TiermemError as error:
        logging.error("%s", error)
        status = error.exit_code
    except BaseException:
        logging.exception("a defect")
        status = 70
    os._exit(status)


main()
