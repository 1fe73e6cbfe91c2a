"""The TLB module on both kernels: what is read looks accessed, as on a real CPU."""

from __future__ import annotations

from tiermem.testbed import Guest

from tests.vm.kmod.guest_modules import run_cases


def test_translations_are_fetched_anew(kmod_guest: Guest) -> None:
    run_cases(kmod_guest, "tlb_turnover.py")
