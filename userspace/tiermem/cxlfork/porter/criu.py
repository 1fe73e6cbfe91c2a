"""Images of functions taken and restored by CRIU, to compare with: start = "criu".

An image is a folder of CRIU's files; where it lies, in a tmpfs of local or of CXL memory,
is for `criu_folder` to say. Each instance is restored in process and mount namespaces of
its own, under the pid that it had, all its pages copied.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.porter.instance import Instance, new_pipes
from tiermem.errors import MissingError, NameTakenError, TiermemError

FACTS_FILE = "tiermem.json"
"""Its pid, and what its descriptors 0, 1 and 2 were called."""
_LOOK_S = 0.001


class CriuImages:
    """See the module; `Images` of images.py."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def known(self) -> list[str]:
        """See Images."""
        if shutil.which("criu") is None:
            raise MissingError('start = "criu": criu is not installed')
        return [file.parent.name for file in self._folder.glob(f"*/{FACTS_FILE}")]

    async def take(self, name: str, pid: int) -> None:
        """See Images."""
        folder = self._folder / name
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise NameTakenError(f"{folder}: is an image already") from None
        pipes = [str(Path(f"/proc/{pid}/fd/{fd}").readlink()) for fd in (0, 1, 2)]
        command = ["criu", "dump", "--tree", str(pid), "--images-dir", str(folder)]
        command += ["--leave-running", "--manage-cgroups=ignore", "--log-file", "dump.log"]
        process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL)
        if await process.wait() != 0:
            log = (folder / "dump.log").read_text(errors="replace").splitlines()
            shutil.rmtree(folder)
            raise TiermemError(f"criu dump of process {pid}: {_first_error(log)}")
        facts = {"pid": pid, "pipes": pipes}
        (folder / FACTS_FILE).write_text(json.dumps(facts))

    async def remove(self, name: str) -> None:
        """See Images."""
        shutil.rmtree(self._folder / name, ignore_errors=True)

    async def restore(self, name: str, policy: Policy) -> Instance:
        """See Images. Policies are CXLfork's; here all pages are copied."""
        folder = self._folder / name
        facts = json.loads((folder / FACTS_FILE).read_text())
        # It is its process's parent, and process 1 of the namespace: it stays.
        command = ["unshare", "--mount-proc", "--pid", "--fork", "--kill-child=KILL"]
        command += ["criu", "restore", "--images-dir", str(folder), "--log-file", "/dev/null"]
        command += ["--manage-cgroups=ignore"]  # it belongs where the porter is
        with new_pipes() as (pipes, given):
            for fd, pipe in zip(given, facts["pipes"], strict=True):
                command += ["--inherit-fd", f"fd[{fd}]:{pipe}"]
            criu = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=given)

            def end() -> None:
                criu.kill()
                criu.wait()

            try:
                pid = await _wait_for_process(criu, int(facts["pid"]))
            except BaseException:
                end()
                raise
        instance = Instance(pid, "criu", end)
        await instance.connect(pipes)
        return instance


async def _wait_for_process(unshare: subprocess.Popen[bytes], pid_inside: int) -> int:
    """The restored process's pid as it is known here, as soon as there is one. It may not
    run yet; what is written to it waits in the pipe."""
    while unshare.poll() is None:
        for criu in _children(unshare.pid):
            for child in _children(criu):
                if _inner_pid(child) == pid_inside:
                    return child
        await asyncio.sleep(_LOOK_S)
    raise TiermemError(f"criu restore: ended with status {unshare.returncode}")


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _inner_pid(pid: int) -> int | None:
    """Its pid in the innermost namespace; None: it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    return None


def _first_error(log: list[str]) -> str:
    return next((line for line in log if "Error" in line), "failed")
