"""The promoter module on both kernels: its outcomes, and what it refuses."""

from __future__ import annotations

from tiermem.testbed import Guest

from tests.vm.kmod.guest_modules import run_cases


def test_every_page_gets_its_true_outcome_and_misuse_loses_nothing(kmod_guest: Guest) -> None:
    run_cases(kmod_guest, "promoter_outcomes.py", "promoter_misuse.py")
