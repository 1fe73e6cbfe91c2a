"""An arena of this host's memory: what it hands out, what it refuses, and when it ends."""

from __future__ import annotations

import gc
import os
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from tiermem.errors import ConfigError, NoSpaceError, TiermemError
from tiermem.layer.arena import create_arena, list_arenas
from tiermem.layer.pages import read_numa_maps
from tiermem.layer.placement import Policy, current_policy, query_pages
from tiermem.layer.sysfs import Tree, read_choice, read_text

from tests.unit.layer.arena.conftest import MIB, Maker
from tests.unit.layer.memory import PAGE

NOBODY = 65534


def resident_pages(address: int, size: int) -> int:
    """How many pages from `address` on are in memory on node 0."""
    pages = np.arange(address, address + size, PAGE, dtype=np.uint64)
    return int(np.count_nonzero(query_pages(0, pages) == 0))


def test_all_of_it_is_there_from_the_begin_and_nothing_beyond(make: Maker) -> None:
    size = 3 * MIB + 5
    arena = make(size)
    assert arena.address % (2 << 20) == 0
    assert current_policy(arena.address) == (Policy.BIND, (0,))
    assert resident_pages(arena.address, size) == -(-size // PAGE)
    assert resident_pages(arena.address + -(-size // PAGE) * PAGE, PAGE) == 0
    counted = [one for one in read_numa_maps(os.getpid()) if one.start == arena.address]
    assert sum(sum(one.pages_by_node.values()) for one in counted) == -(-size // PAGE)


def test_it_is_bounded_to_the_byte(make: Maker) -> None:
    arena = make(MIB + 3)
    first = arena.allocate(MIB)
    last = arena.allocate(3, align_bytes=1)
    assert (arena.free_bytes, arena.largest_bytes) == (0, 0)
    with pytest.raises(NoSpaceError, match=f"0 of {MIB + 3} are free, the largest piece has 0"):
        arena.allocate(1, align_bytes=1)
    last.view()[:] = b"end"
    first.close()
    assert arena.largest_bytes == MIB
    assert bytes(last.view()) == b"end"


def test_huge_pages_are_counted_as_the_kernel_has_them(make: Maker) -> None:
    arena = make(4 * MIB)
    huge = arena.huge_bytes()
    assert huge is not None
    assert huge % (2 << 20) == 0
    assert huge <= 4 * MIB
    if read_choice(Path("/sys/kernel/mm/transparent_hugepage/enabled")) in ("always", "madvise"):
        assert huge > 0
    else:
        assert huge == 0


def test_views_arrays_and_the_address_are_the_same_bytes(make: Maker) -> None:
    buffer = make().allocate(4096, align_bytes=4096)
    array = buffer.numpy("<f4", (2, 3))
    array[1, 2] = 1.5
    assert buffer.view()[20:24] == np.float32(1.5).tobytes()
    assert array.__array_interface__["data"] == (buffer.address, False)
    assert buffer.numpy(np.uint16).shape == (2048,)
    assert buffer.numpy(np.complex128, ()).shape == ()
    assert buffer.numpy("f8", (0, 7)).shape == (0, 7)
    assert buffer.numpy("f8", np.int64(3)).shape == (3,)
    buffer.view()[:4] = b"\0\0\x80?"
    assert array[0, 0] == 1.0


def test_torch_sees_the_same_bytes(make: Maker) -> None:
    torch = pytest.importorskip("torch")
    buffer = make().allocate(4096)
    tensor = buffer.torch(torch.bfloat16, (3, 5))
    tensor[2, 4] = 2.0
    assert tensor.data_ptr() == buffer.address
    assert buffer.numpy(np.uint16)[14] == 0x4000
    with pytest.raises(TiermemError, match="views of it are in use"):
        buffer.close()
    del tensor
    buffer.close()


def test_shapes_that_do_not_fit(make: Maker) -> None:
    buffer = make().allocate(100)
    for dtype, shape, says in (
        ("f4", (26,), r"shape \(26,\) of float32 does not fit"),
        ("u1", (-1,), r"shape \(-1,\) of uint8 does not fit"),
        ("f8", None, r"is no whole number of float64 \(8 bytes each\)"),
        (object, None, "must be of numbers or bytes, of a fixed size"),
        ("V0", (1,), "of a fixed size"),
    ):
        with pytest.raises(TiermemError, match=says):
            buffer.numpy(dtype, shape)
    buffer.close()


def test_a_buffer_in_use_is_not_closed(make: Maker) -> None:
    """Else its bytes would be another's while somebody still writes to them."""
    arena = make()
    buffer = arena.allocate(4096)
    tail = buffer.numpy("u4")[1000:].reshape(4, 6)
    with pytest.raises(TiermemError, match="cannot be closed: views of it are in use"):
        buffer.close()
    tail[:] = 7
    assert not buffer.is_closed
    del tail
    buffer.close()
    assert arena.usage.used_bytes == 0


def test_use_after_close_and_a_second_close(make: Maker) -> None:
    buffer = make().allocate(64)
    buffer.close()
    for use in (
        buffer.view,
        buffer.numpy,
        buffer.close,
        buffer.write_back,
        buffer.invalidate,
        lambda: buffer.address,
        lambda: buffer.copy_in(b"x"),
        lambda: buffer.copy_out(bytearray(1)),
    ):
        with pytest.raises(TiermemError, match="was closed"):
            use()


def test_a_buffer_that_is_dropped_goes_with_its_last_view(make: Maker) -> None:
    arena = make()
    array = arena.allocate(5000).numpy()
    gc.collect()
    assert arena.usage.used_bytes == 5000
    del array
    assert arena.usage.used_bytes == 0
    assert arena.usage.peak_bytes == 5000


def test_an_error_inside_with_does_not_hide_behind_views(make: Maker) -> None:
    arena = make()
    with pytest.raises(ZeroDivisionError), arena.allocate(64) as buffer:
        array = buffer.numpy()
        1 // array[:0].size
    assert buffer.is_closed
    assert arena.usage.used_bytes == 64
    del array
    assert arena.usage.used_bytes == 0


def test_an_arena_with_open_buffers_is_not_closed(make: Maker) -> None:
    arena = make()
    buffer = arena.allocate(64)
    with pytest.raises(TiermemError, match="1 of its buffers are open"):
        arena.close()
    buffer.close()
    arena.close()
    for use in (arena.close, lambda: arena.allocate(1), arena.huge_bytes):
        with pytest.raises(TiermemError, match="arena 'test': was closed"):
            use()


def test_its_memory_is_given_back(run_dir: Path) -> None:
    with create_arena("test", MIB, nodes=[0], run_dir=run_dir) as arena:
        address = arena.address
        assert resident_pages(address, MIB) == MIB // PAGE
    assert resident_pages(address, MIB) == 0
    assert list_arenas(run_dir) == []


def test_threads_share_it(make: Maker) -> None:
    """Each thread keeps what it wrote; nothing is lost at the end."""
    arena = make(MIB)
    wrong: list[str] = []

    def work(mark: int) -> None:
        held = []
        rng = np.random.default_rng(mark)
        for _ in range(150):
            try:
                buffer = arena.allocate(int(rng.integers(1, 20_000)), 1 << int(rng.integers(0, 8)))
            except NoSpaceError:
                pass
            else:
                buffer.copy_in(bytes([mark]) * buffer.bytes)
                held.append(buffer)
            if len(held) > 6 or (held and rng.integers(2)):
                buffer = held.pop(int(rng.integers(len(held))))
                if set(bytes(buffer.view())) != {mark}:
                    wrong.append(f"{buffer!r} of {mark}")
                buffer.close()
        for buffer in held:
            buffer.close()

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert (arena.usage.used_bytes, arena.usage.buffers, arena.largest_bytes) == (0, 0, MIB)


def test_a_forked_child_has_none_of_it(make: Maker) -> None:
    """It reads zeros, may not call, and its end changes nothing here."""
    arena = make()
    buffer = arena.allocate(64)
    array = buffer.numpy()
    array[:] = 5
    arena._lock.acquire()  # as another thread might have at that moment
    child = os.fork()
    if child == 0:
        try:
            ok = not array.any()
            uses = (lambda: arena.allocate(1), lambda: arena.usage, buffer.view, buffer.close)
            for use in (*uses, arena.close):
                try:
                    use()
                    ok = False
                except TiermemError as error:
                    ok &= "which this one was forked from" in str(error)
        finally:
            os._exit(0 if ok else 1)
    arena._lock.release()
    assert os.waitpid(child, 0)[1] == 0
    assert set(array.tolist()) == {5}
    assert arena.usage.used_bytes == 64


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_has_arenas_too() -> None:
    """What only root may read of this host is not needed."""
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, NOBODY, NOBODY)
        child = os.fork()
        if child == 0:
            said = 1
            try:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                run_dir = Path(folder) / "run"
                with create_arena("test", MIB, tier="fastest", run_dir=run_dir) as arena:
                    said = 2 if arena.allocate(64).numpy().any() else 0
                    said += len(list_arenas(run_dir)) - 1
            finally:
                os._exit(said)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("size", [1, 63, 64, 100_000])
def test_copies_take_any_buffer_and_any_place(make: Maker, size: int) -> None:
    arena = make()
    data = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
    buffer = arena.allocate(size + 7)
    for at in (0, 7):
        buffer.copy_in(data, at)
        out = bytearray(size)
        buffer.copy_out(out, at)
        assert out == data.tobytes()
    with arena.allocate(size) as second, arena.allocate(size) as third:
        second.copy_in(data.tobytes())
        third.copy_in(second)
        assert bytes(third.view()) == data.tobytes()
        third.view()[0] ^= 255
        third.copy_out(second)
        assert bytes(second.view()) == bytes(third.view())


def test_copies_that_cannot_be(make: Maker) -> None:
    buffer = make().allocate(100)
    for copy, says in (
        (lambda: buffer.copy_in(bytes(101)), "101 bytes at 0 reach beyond its 100"),
        (lambda: buffer.copy_in(b"x", -1), "1 bytes at -1 reach beyond"),
        (lambda: buffer.copy_out(bytearray(1), 100), "1 bytes at 100 reach beyond"),
        (lambda: buffer.copy_out(b"x"), "is not a writable buffer in one piece"),
        (lambda: buffer.copy_in(7), "int: is not a buffer in one piece"),
        (lambda: buffer.copy_in(np.zeros((4, 4))[:, ::2]), "is not a buffer in one piece"),
        (lambda: buffer.copy_in(buffer.view()[:50], 10), "the two overlap"),
    ):
        with pytest.raises(TiermemError, match=says):
            copy()
    buffer.close()


def test_names_and_sizes_that_make_no_sense(run_dir: Path) -> None:
    for name, size, says in (
        ("", 1, "1 to 64 printable characters"),
        ("a\n", 1, "printable"),
        ("x" * 65, 1, "1 to 64"),
        ("x", 0, "at least 1 is needed"),
    ):
        with pytest.raises((TiermemError, ConfigError), match=says):
            create_arena(name, size, run_dir=run_dir)


def test_more_than_there_is_takes_nothing(run_dir: Path) -> None:
    with pytest.raises(NoSpaceError, match=r"nodes \[0\]: 1125899906842624 bytes are wanted"):
        create_arena("test", 1 << 50, nodes=[0], run_dir=run_dir)
    assert list_arenas(run_dir) == []


def test_room_that_goes_while_it_is_taken_ends_it(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A control group that had room at first: what was taken is given back."""
    room = iter([1 << 40, 1 << 40, 100])
    monkeypatch.setattr("tiermem.layer.arena.memory.room_bytes", lambda *_: next(room))
    monkeypatch.setattr("tiermem.layer.arena.memory._STEP_BYTES", MIB)
    before = int((read_text(Tree().proc / "self/statm") or "").split()[1])
    with pytest.raises(NoSpaceError, match="there is room for 100 on them"):
        create_arena("test", 8 * MIB, nodes=[0], run_dir=run_dir)
    after = int((read_text(Tree().proc / "self/statm") or "").split()[1])
    assert after - before < MIB // PAGE
