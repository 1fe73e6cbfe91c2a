"""What a process had open, it has open again: each test prints what it finds, before and after."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tiermem.cxlfork.capture.options import Options

from tests.unit.cxlfork.conftest import Starter
from tests.unit.cxlfork.restoring.conftest import GO_ON, Cloner

HEAD = (
    GO_ON
    + """
import ctypes, fcntl, select, signal, socket, threading
libc = ctypes.CDLL(None, use_errno=True)
folder = sys.argv[1]
def at(fd, number):
    os.dup2(fd, number)
    if fd != number:
        os.close(fd)
def flags(fd):
    return fcntl.fcntl(fd, fcntl.F_GETFL), fcntl.fcntl(fd, fcntl.F_GETFD)
def ready():
    print("ready", flush=True)
    wait_for(folder + "/go")
"""
)


def after(
    text: str, start: Starter, cloner: Cloner, folder: Path, options: Options | None = None
) -> tuple[list[str], list[str]]:
    """What the program prints after it was ready: itself, and restored."""
    target = start(HEAD + text, folder, python=True)
    assert target.line() == "ready"
    clone = cloner.restore(cloner.take(target, options=options))
    (folder / "go").touch()
    printed = clone.output.read().splitlines()
    assert clone.process.wait(20) == 0, printed
    assert target.wait() == 0
    return target.rest(), printed


def same(text: str, start: Starter, cloner: Cloner, folder: Path) -> list[str]:
    """The same, and both print the same."""
    wanted, printed = after(text, start, cloner, folder)
    assert printed == wanted
    assert printed
    return printed


def test_files_with_their_place_and_flags(start: Starter, cloner: Cloner, tmp_path: Path) -> None:
    [line] = same(
        "open(folder + '/file', 'w').write('0123456789' * 10)\n"
        "at(os.open(folder + '/file', os.O_RDWR | os.O_APPEND | os.O_NONBLOCK), 50)\n"
        "os.dup2(50, 60)\n"
        "os.set_inheritable(60, False)\n"
        "at(os.open(folder + '/file', os.O_RDONLY), 51)\n"
        "at(os.open(folder, os.O_RDONLY | os.O_DIRECTORY), 52)\n"
        "at(os.open('/dev/zero', os.O_RDWR), 53)\n"
        "os.lseek(50, 33, 0)\n"
        "ready()\n"
        "print([flags(fd) for fd in (50, 51, 52, 53, 60)], os.read(50, 3), os.read(60, 3),\n"
        "      os.read(51, 2), os.lseek(60, 0, 1), os.read(53, 2), sorted(os.listdir(52)),\n"
        "      sorted(os.listdir('/proc/self/fd')))\n",
        start,
        cloner,
        tmp_path,
    )
    assert "b'345' b'678' b'01' 39" in line


def test_pipes_with_what_they_hold(start: Starter, cloner: Cloner, tmp_path: Path) -> None:
    [line] = same(
        "r, w = os.pipe2(os.O_NONBLOCK)\n"
        "os.write(w, b'held')\n"
        "fcntl.fcntl(w, 1031, 8192)\n"
        # The reader's number is where a new pipe's writing end would come to be.
        "a, b = os.pipe()\n"
        "at(a, 41); at(b, 40)\n"
        "os.dup2(41, 70)\n"
        "os.write(40, b'more')\n"
        "ready()\n"
        "os.write(w, b'!'); os.write(40, b'?')\n"
        "print(os.read(r, 9), os.read(70, 9), flags(r), flags(w), flags(40), flags(41),\n"
        "      fcntl.fcntl(r, 1032), fcntl.fcntl(41, 1032))\n"
        "os.close(40)\n"
        "print(os.read(41, 1))\n",
        start,
        cloner,
        tmp_path,
    )[:1]
    assert line.startswith("b'held!' b'more?'")


def test_counters_and_sets_of_signals(start: Starter, cloner: Cloner, tmp_path: Path) -> None:
    same(
        "at(libc.eventfd(5, os.O_NONBLOCK), 50)\n"
        "at(libc.eventfd(3, 1), 51)\n"
        "mask = ctypes.create_string_buffer((1 << 11).to_bytes(8, 'little'), 128)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {12})\n"
        "at(libc.signalfd(-1, mask, os.O_NONBLOCK), 52)\n"
        "ready()\n"
        "print(flags(50), flags(51), flags(52), os.read(50, 8), os.read(51, 8), os.read(51, 8))\n"
        "os.kill(os.getpid(), 12)\n"
        "print(os.read(52, 128)[:4])\n",
        start,
        cloner,
        tmp_path,
    )


def test_epolls_that_watch_each_other(start: Starter, cloner: Cloner, tmp_path: Path) -> None:
    same(
        "r, w = os.pipe()\n"
        "at(libc.eventfd(1, 0), 90)\n"
        "inner, outer = select.epoll(), select.epoll()\n"
        "inner.register(r, select.EPOLLIN)\n"
        "outer.register(inner.fileno(), select.EPOLLIN | select.EPOLLET)\n"
        "outer.register(90, select.EPOLLIN)\n"
        "ready()\n"
        "print(outer.poll(0))\n"
        "os.read(90, 8)\n"
        "os.write(w, b'x')\n"
        "print(inner.poll(0), outer.poll(0))\n"
        "outer.unregister(inner.fileno())\n",
        start,
        cloner,
        tmp_path,
    )


def test_timers_that_are_files(start: Starter, cloner: Cloner, tmp_path: Path) -> None:
    [line] = same(
        "class Spec(ctypes.Structure):\n"
        "    _fields_ = [(n, ctypes.c_long) for n in ('is_', 'in_', 'vs', 'vn')]\n"
        "def timer(number, spec):\n"
        "    at(libc.timerfd_create(1, os.O_NONBLOCK), number)\n"
        "    libc.timerfd_settime(number, 0, ctypes.byref(spec), None)\n"
        "timer(50, Spec(0, 10_000_000, 0, 1))\n"
        "timer(51, Spec(0, 0, 1000, 0))\n"
        "time.sleep(0.1)\n"
        "ready()\n"
        "left = Spec()\n"
        "libc.timerfd_gettime(51, ctypes.byref(left))\n"
        "print(int.from_bytes(os.read(50, 8), 'little') >= 10, 990 < left.vs < 1000, flags(50))\n",
        start,
        cloner,
        tmp_path,
    )
    assert line.startswith("True True")


def test_memory_files(start: Starter, cloner: Cloner, tmp_path: Path) -> None:
    same(
        "at(os.memfd_create('held', os.MFD_ALLOW_SEALING), 50)\n"
        "os.write(50, b'0123456789' * 1000)\n"
        "os.lseek(50, 5, 0)\n"
        "fcntl.fcntl(50, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)\n"
        "ready()\n"
        "print(os.read(50, 7), os.fstat(50).st_size, fcntl.fcntl(50, fcntl.F_GET_SEALS),\n"
        "      os.readlink('/proc/self/fd/50'), flags(50))\n",
        start,
        cloner,
        tmp_path,
    )


@pytest.mark.parametrize("family", ["AF_INET", "AF_UNIX"])
def test_sockets_listen_again(start: Starter, cloner: Cloner, tmp_path: Path, family: str) -> None:
    where = "(('127.0.0.1', 0))" if family == "AF_INET" else "(folder + '/socket')"
    target = start(
        f"{HEAD}\n"
        f"s = socket.socket(socket.{family})\n"
        f"s.bind{where}\n"
        "s.listen(7)\n"
        "name = s.getsockname()\n"
        "print(name if isinstance(name, str) else name[1], flush=True)\n"
        "ready()\n"
        "print(s.accept()[0].recv(9))\n",
        tmp_path,
        python=True,
    )
    name = target.line()
    assert target.line() == "ready"
    source = cloner.take(target, options=Options(relisten=True))
    target.end()
    clone = cloner.restore(source)
    (tmp_path / "go").touch()
    with socket.socket(getattr(socket, family)) as client:
        client.connect(("127.0.0.1", int(name)) if family == "AF_INET" else name)
        client.send(b"hello")
    assert clone.line() == "b'hello'"
