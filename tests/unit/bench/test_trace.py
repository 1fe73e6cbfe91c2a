"""The kernel's trace lines, as pages that a policy calls hot."""

from __future__ import annotations

from bench.guest.trace import parse_promotions, parse_regions

PROMOTIONS = """\
# tracer: nop
 redis-server-312 [000] .....  41.1: promotion: (migrate_misplaced_folio_prepare+0x0/0x170) \
folio=0xffd400000e400040 base=0xffd4000000000000 target=0
 redis-server-312 [000] .....  41.2: promotion: (migrate_misplaced_folio_prepare+0x0/0x170) \
folio=0xffd400000e400040 base=0xffd4000000000000 target=0
 redis-server-312 [000] .....  41.3: promotion: (migrate_misplaced_folio_prepare+0x0/0x170) \
folio=0xffd400000e400080 base=0xffd4000000000000 target=1
"""

REGIONS = """\
 kdamond.0-77 [000] ..... 50.0: damos_before_apply: ctx_idx=0 scheme_idx=0 target_idx=0 \
nr_regions=11 15300820992-15300829184: 19 4
"""


def test_a_promotion_names_its_frame_once_and_only_for_the_fast_node() -> None:
    assert parse_promotions(PROMOTIONS) == {0x0E400040 // 64}


def test_a_region_is_all_of_its_frames() -> None:
    first = 15300820992 // 4096
    assert parse_regions(REGIONS) == {first, first + 1}


def test_an_empty_trace_names_nothing() -> None:
    assert parse_promotions("# tracer: nop\n") == set()
    assert parse_regions("# tracer: nop\n") == set()
