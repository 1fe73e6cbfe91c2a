"""What a process has open: what is kept of it, and what is refused by its number."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from tiermem.cxlfork.capture.options import Options
from tiermem.cxlfork.capture.refusals import RefusedError
from tiermem.cxlfork.checkpoint import checkpoint
from tiermem.cxlfork.image import open_image
from tiermem.cxlfork.records import Descriptor, FdKind
from tiermem.layer.pool import Pool
from tiermem.native._fork import ffi

from tests.unit.cxlfork.conftest import Starter

Taker = Callable[..., dict[int, Descriptor]]

HEAD = """
import ctypes, fcntl, os, select, signal, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def at(fd, number):
    os.dup2(fd, number)
    os.close(fd)
"""
TAIL = """
print("ready", flush=True)
time.sleep(1000)
"""


@pytest.fixture
def take(pool: Pool, start: Starter, tmp_path: Path) -> Taker:
    """Runs Python that opens something, takes it, and says what it has open."""

    def taken(text: str, options: Options | None = None) -> dict[int, Descriptor]:
        target = start(HEAD + text + TAIL, tmp_path, python=True)
        assert target.line() == "ready"
        checkpoint(pool, target.pid, "it", options)
        with open_image(pool, "it") as image:
            return {fd.number: fd for fd in image.descriptors}

    return taken


def refusal(take: Taker, text: str, options: Options | None = None) -> str:
    with pytest.raises(RefusedError) as caught:
        take(text, options)
    assert len(caught.value.reasons) == 1
    return caught.value.reasons[0]


def test_a_file_with_its_place_and_flags(take: Taker, tmp_path: Path) -> None:
    fds = take(
        "open(sys.argv[1] + '/file', 'w').write('x' * 100)\n"
        "at(os.open(sys.argv[1] + '/file', os.O_RDWR | os.O_APPEND | os.O_CREAT), 50)\n"
        "os.lseek(50, 33, 0)\n"
    )
    fd = fds[50]
    assert fd.kind is FdKind.PATH
    assert fd.position == 33
    assert fd.open_flags & (os.O_ACCMODE | os.O_APPEND | os.O_CREAT) == os.O_RDWR | os.O_APPEND
    assert fd.descriptor_flags == 0
    assert fd.file is not None
    assert (fd.file.name, fd.file.bytes) == (str(tmp_path / "file"), 100)
    assert not fd.file.is_fixed


def test_folders_and_devices(take: Taker) -> None:
    fds = take("at(os.open('/', os.O_RDONLY), 50)\nat(os.open('/dev/zero', os.O_RDWR), 51)\n")
    assert fds[50].file is not None
    assert stat.S_ISDIR(fds[50].file.mode)
    assert fds[51].file is not None
    assert fds[51].file.device_number == os.makedev(1, 5)


def test_two_numbers_of_one_open_file_are_told_from_two_open_files(take: Taker) -> None:
    fds = take(
        "at(os.open('/dev/null', 0), 50)\nos.dup2(50, 51)\nos.set_inheritable(51, False)\n"
        "at(os.open('/dev/null', 0), 52)\n"
    )
    assert (fds[50].same_as, fds[51].same_as, fds[52].same_as) == (None, 50, None)
    assert (fds[50].descriptor_flags, fds[51].descriptor_flags) == (0, 1)


def test_the_standard_ones_are_given_anew(take: Taker) -> None:
    fds = take("at(os.dup(1), 50)\n")
    assert (fds[1].kind, fds[1].same_as) == (FdKind.INHERITED, None)
    assert (fds[2].kind, fds[2].same_as) == (FdKind.INHERITED, 1)
    assert (fds[50].kind, fds[50].same_as) == (FdKind.INHERITED, 1)


def test_a_pipe_with_what_it_holds(take: Taker) -> None:
    fds = take(
        "r, w = os.pipe()\nat(r, 50)\nat(w, 51)\nfcntl.fcntl(51, 1031, 1 << 18)\n"
        "os.write(51, b'ab' * 50000)\nos.write(51, b'end')\n"
    )
    assert fds[50].kind is fds[51].kind is FdKind.PIPE
    assert fds[50].object == fds[51].object
    assert fds[50].value == 1 << 18
    assert fds[50].extra == b"ab" * 50000 + b"end"
    assert fds[51].extra == b""


def test_a_pipe_still_holds_it_afterwards(pool: Pool, start: Starter, tmp_path: Path) -> None:
    text = (
        "r, w = os.pipe()\nos.write(w, b'held')\nprint('ready', flush=True)\n"
        "while not os.path.exists(sys.argv[1] + '/go'): time.sleep(0.01)\n"
        "print(os.read(r, 100).decode(), flush=True)\n"
    )
    target = start(HEAD + text, tmp_path, python=True)
    target.line()
    checkpoint(pool, target.pid, "it")
    (tmp_path / "go").touch()
    assert target.line() == "held"


def test_event_counters(take: Taker) -> None:
    fds = take("at(os.eventfd(7), 50)\nat(os.eventfd(20, os.EFD_SEMAPHORE), 51)\n")
    assert (fds[50].kind, fds[50].value, fds[50].object) == (FdKind.EVENT, 7, 0)
    assert (fds[51].value, fds[51].object) == (20, 1)


def test_what_epoll_watches_comes_last(take: Taker) -> None:
    fds = take(
        "at(os.eventfd(0), 50)\ne = select.epoll()\n"
        "e.register(50, select.EPOLLIN | select.EPOLLET)\nos.dup2(e.fileno(), 40)\n"
    )
    epoll = next(fd for fd in fds.values() if fd.kind is FdKind.EPOLL and fd.extra)
    item = ffi.from_buffer("struct image_epoll_item[]", epoll.extra)
    assert len(item) == 1
    assert (item[0].fd, item[0].data) == (50, 50)
    assert item[0].events & (1 << 31 | 1) == 1 << 31 | 1
    assert [fd.kind for fd in fds.values()][-2:] == [FdKind.EPOLL, FdKind.EPOLL]


def test_a_timer_and_a_signal_mask(take: Taker) -> None:
    fds = take(
        "at(libc.timerfd_create(1, 0), 50)\n"
        "libc.timerfd_settime(50, 0, (ctypes.c_long * 4)(5, 6, 1000, 0), None)\n"
        "mask = ctypes.c_ulong(1 << signal.SIGUSR2 - 1)\n"
        "at(libc.syscall(289, -1, ctypes.byref(mask), 8, 0), 51)\n"
    )
    timer = ffi.from_buffer("struct image_timerfd *", fds[50].extra)
    assert (timer.clock, timer.interval_ns) == (1, 5_000_000_006)
    assert 990e9 < timer.value_ns <= 1000e9
    assert (fds[51].kind, fds[51].value) == (FdKind.SIGNAL, 1 << 11)


def test_memory_without_a_name(take: Taker) -> None:
    fds = take(
        "at(os.memfd_create('cache', os.MFD_ALLOW_SEALING), 50)\n"
        "os.write(50, b'contents')\nfcntl.fcntl(50, 1033, 2)\n"
    )
    assert fds[50].kind is FdKind.MEMORY
    assert fds[50].file is not None
    assert fds[50].file.name == "cache"
    assert (fds[50].extra, fds[50].position, fds[50].value) == (b"contents", 8, 2)


LISTENER = (
    "s = socket.socket()\ns.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
    "s.bind(('127.0.0.1', 0))\ns.listen(17)\nat(s.detach(), 50)\n"
)
PAIR = "a, b = socket.socketpair()\nat(a.detach(), 51)\nat(b.detach(), 52)\n"


def test_a_socket_that_listens_does_so_again_if_that_is_asked_for(take: Taker) -> None:
    fds = take(LISTENER + PAIR, Options(relisten=True, close_sockets=True))
    head = ffi.sizeof("struct image_listener")
    listener = ffi.from_buffer("struct image_listener *", fds[50].extra[:head])
    assert (listener.family, listener.type) == (socket.AF_INET, socket.SOCK_STREAM)
    assert (listener.backlog, listener.options) == (17, 1)
    assert fds[50].extra[head + 4 : head + 8] == bytes([127, 0, 0, 1])
    assert len(fds[50].extra) == head + listener.address_bytes
    assert 51 not in fds
    assert 52 not in fds


def test_sockets_are_closed_if_that_is_asked_for(take: Taker) -> None:
    fds = take(LISTENER + PAIR, Options(close_sockets=True))
    assert not {50, 51, 52} & set(fds)


def test_a_closed_one_is_not_watched_any_more(take: Taker) -> None:
    text = PAIR + "e = select.epoll()\ne.register(51)\nos.dup2(e.fileno(), 60)\n"
    fds = take(text, Options(close_sockets=True))
    assert (fds[60].kind, fds[60].extra) == (FdKind.EPOLL, b"")


@pytest.mark.parametrize(
    ("text", "why", "option"),
    [
        (LISTENER, "listens", "--relisten"),
        ("s = socket.socket()\nat(s.detach(), 50)\n", "socket", "--close-sockets"),
        ("at(os.pidfd_open(os.getpid()), 50)\n", "kind", "--close-fd 50"),
        ("at(libc.inotify_init(), 50)\n", "inotify", "--close-fd 50"),
        ("r, w = os.pipe()\nos.close(r)\nat(w, 50)\n", "other end", "--close-fd 50"),
        (
            "r, w = os.pipe2(os.O_DIRECT)\nos.write(w, b'x')\nat(r, 50)\n",
            "packets",
            "--close-fd 50",
        ),
        ("m, s = os.openpty()\nos.close(m)\nat(s, 50)\n", "terminal|deleted", "--close-fd 50"),
        (
            "p = sys.argv[1] + '/gone'\nat(os.open(p, os.O_CREAT | 2), 50)\nos.unlink(p)\n",
            "deleted",
            "--close-fd 50",
        ),
        (
            "at(os.open(sys.argv[1] + '/l', os.O_CREAT | 2), 50)\nfcntl.flock(50, 2)\n",
            "lock",
            "--close-fd 50",
        ),
        (
            "at(os.memfd_create('x'), 50)\nos.truncate(50, 4096)\n"
            "libc.mmap(None, 4096, 3, 1, 50, 0)\n",
            "mapped and shared",
            "--close-fd 50",
        ),
        (
            "p = sys.argv[1] + '/fifo'\nos.mkfifo(p)\nat(os.open(p, os.O_RDWR), 50)\n",
            "named pipe",
            "--close-fd 50",
        ),
        (
            "at(os.eventfd(0), 51)\ne = select.epoll()\ne.register(51)\nos.dup2(51, 52)\n"
            "at(os.open('/', 0), 51)\nos.dup2(e.fileno(), 50)\ne.close()\n",
            "watches",
            "--close-fd 50",
        ),
    ],
    ids=lambda value: value if value.startswith("--") else "",
)
def test_what_cannot_be_taken_is_refused_by_its_number(
    take: Taker, text: str, why: str, option: str
) -> None:
    reason = refusal(take, text)
    assert "descriptor 50" in reason
    assert any(word in reason for word in why.split("|"))
    assert option in reason


def test_a_refused_one_may_be_left_out(take: Taker) -> None:
    fds = take("at(libc.inotify_init(), 50)\n", Options(close_fds=frozenset({50})))
    assert 50 not in fds


def test_a_pipe_that_was_opened_anew_has_more_than_two_ends(take: Taker) -> None:
    text = "r, w = os.pipe()\nat(os.open(f'/proc/self/fd/{w}', os.O_WRONLY), 50)\n"
    with pytest.raises(RefusedError, match="more than once") as caught:
        take(text)
    assert len(caught.value.reasons) == 2


def test_all_that_is_refused_is_named_at_once(take: Taker) -> None:
    with pytest.raises(RefusedError) as caught:
        take("at(libc.inotify_init(), 50)\n" + PAIR)
    assert [reason.split()[1] for reason in caught.value.reasons] == ["50", "51", "52"]
