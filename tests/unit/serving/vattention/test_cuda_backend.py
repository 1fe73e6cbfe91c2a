"""CUDA's calls in an order that its driver allows; on a GPU, the driver's own word."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.errors import ConfigError, MissingError, NoSpaceError, TiermemError
from tiermem.serving.vattention import Ahead, KvLayout, init
from tiermem.serving.vattention.cuda_backend import CudaBackend
from tiermem.serving.vattention.cuda_driver import load_driver
from tiermem.serving.vattention.layout import Run

from tests.unit.serving.vattention.fake_cuda import GRANULARITY, FakeCuda

LAYOUT = KvLayout(1, 8, 128, 4, context_tokens=4096, batch=2)
GROUP = LAYOUT.group_bytes


def _backend(cuda: FakeCuda, groups: int = 8) -> CudaBackend:
    return CudaBackend(LAYOUT, groups * GROUP, module=cuda)


def test_memory_is_mapped_with_access_reads_as_zeros_and_all_is_given_back() -> None:
    cuda = FakeCuda()
    backend = _backend(cuda)
    backend.map([Run(0, 2 * GROUP), Run(LAYOUT.row_bytes, GROUP)])
    for group in (0, 1, LAYOUT.row_blocks):
        assert cuda.load(backend.address + group * GROUP) == 0
    cuda.store(backend.address + GROUP, 5)
    backend.map([Run(2 * GROUP, GROUP)])
    assert cuda.load(backend.address + GROUP) == 5
    with pytest.raises(AssertionError, match="nothing is mapped"):
        cuda.load(backend.address + 3 * GROUP)
    backend.close()
    assert not (cuda.mapped or cuda.handles or cuda.reserved or cuda.contexts_held)


def test_memory_that_was_unmapped_is_mapped_again_rather_than_made() -> None:
    cuda = FakeCuda()
    backend = _backend(cuda)
    backend.map([Run(0, 2 * GROUP)])
    backend.unmap([Run(0, 2 * GROUP)])
    backend.map([Run(GROUP, 2 * GROUP)])
    assert len(cuda.handles) == 2
    backend.close()


def test_the_gpu_is_waited_for_before_it_loses_memory() -> None:
    cuda = FakeCuda()
    backend = _backend(cuda)
    backend.map([Run(0, GROUP)])
    cuda.is_busy = True
    backend.unmap([Run(0, GROUP)])
    backend.close()


def test_a_mapping_that_fails_half_way_leaves_nothing() -> None:
    cuda = FakeCuda(memory_bytes=3 * GROUP)
    backend = _backend(cuda)
    backend.map([Run(0, GROUP)])
    with pytest.raises(NoSpaceError, match=r"cuMemCreate: out of memory \(CUDA_ERROR_OUT_OF_"):
        backend.map([Run(GROUP, 3 * GROUP)])
    assert list(cuda.mapped) == [backend.address]
    backend.map([Run(GROUP, 2 * GROUP)])
    with pytest.raises(NoSpaceError, match="6 page groups are wanted, 5 of 8 are free"):
        backend.map([Run(3 * GROUP, 6 * GROUP)])
    backend.close()
    assert not cuda.handles


def test_the_drivers_refusals_have_its_words() -> None:
    cuda = FakeCuda()
    backend = _backend(cuda)
    cuda.reserved.clear()
    with pytest.raises(TiermemError, match=r"cuMemMap: invalid value \(CUDA_ERROR_INVALID_VALUE"):
        backend.map([Run(0, GROUP)])
    with pytest.raises(TiermemError, match="cuDeviceGet: invalid device"):
        CudaBackend(LAYOUT, GROUP, device=3, module=FakeCuda())


def test_groups_smaller_than_the_driver_maps_are_refused() -> None:
    small = KvLayout(1, 8, 128, 4, context_tokens=4096, batch=2, group_bytes=64 << 10)
    cuda = FakeCuda()
    with pytest.raises(ConfigError, match=f"group_bytes = 65536: .* multiples of {GRANULARITY}"):
        CudaBackend(small, 8 * GROUP, module=cuda)
    assert cuda.contexts_held == 0


def test_without_cuda_python_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    monkeypatch.setitem(sys.modules, "cuda", None)
    with pytest.raises(MissingError, match="pip install cuda-python"):
        load_driver()


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 7)), max_size=40))
def test_any_order_of_mapping_and_unmapping(actions: list[tuple[bool, int]]) -> None:
    cuda = FakeCuda()
    backend = _backend(cuda, groups=5)
    mapped: dict[int, int] = {}
    for number, (maps, group) in enumerate(actions):
        run, at = [Run(group * GROUP, GROUP)], backend.address + group * GROUP
        if maps and group not in mapped and len(mapped) < 5:
            backend.map(run)
            cuda.store(at, number)
            mapped[group] = number
        elif maps:
            with pytest.raises(TiermemError):
                backend.map(run)
        elif group in mapped:
            backend.unmap(run)
            del mapped[group]
        else:
            with pytest.raises(TiermemError):
                backend.unmap(run)
        for there, value in mapped.items():
            assert cuda.load(backend.address + there * GROUP) == value
    backend.close()
    assert not cuda.handles


def test_requests_on_a_gpu_with_a_thread_that_maps_ahead() -> None:
    cuda = FakeCuda()
    tokens = LAYOUT.tokens_in(1)
    with init(LAYOUT, backend=_backend(cuda, groups=16), ahead=Ahead(steps=tokens)) as kv:
        assert kv.mapping_ahead is not None
        req_id = kv.alloc_reqid(tokens)
        kv.step({req_id: tokens})
        assert kv.mapping_ahead.wait(10)
        assert kv.mapping_ahead.last_error is None
        assert kv.step({req_id: 2 * tokens}) == 0
        with pytest.raises(TiermemError, match="give the attention kernel each request's length"):
            kv.cover(req_id, 4 * tokens)
    assert not cuda.handles


@pytest.mark.skipif(importlib.util.find_spec("cuda") is None, reason="needs cuda-python")
def test_on_a_gpu() -> None:
    driver = load_driver()
    if int(driver.cuInit(0)[0]) != 0:
        pytest.skip("no GPU")
    backend = CudaBackend(LAYOUT, 4 * GROUP)
    backend.map([Run(0, 2 * GROUP)])
    found = bytearray(b"\xee" * 2 * GROUP)
    assert int(driver.cuMemcpyDtoH(found, backend.address, len(found))[0]) == 0
    assert not any(found)
    backend.unmap([Run(0, GROUP)])
    assert int(driver.cuMemcpyDtoH(found, backend.address, GROUP)[0]) != 0
    backend.close()
