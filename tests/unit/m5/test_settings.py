"""The config model and its sample file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel
from tiermem.errors import ConfigError
from tiermem.layer.tracker_device import ENTRIES_MAX
from tiermem.m5 import trackers
from tiermem.m5.settable import SETTABLE, is_settable
from tiermem.m5.settings import LIST_ENTRIES_MAX, M5Settings
from tiermem.service.config import load, validate, with_change

SAMPLE = Path(__file__).parents[3] / "userspace/etc/m5.toml"
OFF_BY_DEFAULT = {"record"}


def keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    found = set()
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found |= keys(inner, f"{prefix}{name}.")
        else:
            found.add(prefix + name)
    return found


def keys_of_file(table: dict[str, object], prefix: str = "") -> set[str]:
    found = set()
    for name, value in table.items():
        if isinstance(value, dict) and value:
            found |= keys_of_file(value, f"{prefix}{name}.")
        else:
            found.add(prefix + name)
    return found


def test_the_sample_shows_every_key_with_its_default() -> None:
    assert load(SAMPLE, M5Settings) == M5Settings()
    assert keys_of_file(tomllib.loads(SAMPLE.read_text())) == keys(M5Settings) - OFF_BY_DEFAULT
    for key in OFF_BY_DEFAULT:
        assert re.search(rf"^# {key} = ", SAMPLE.read_text(), re.MULTILINE)


def test_every_key_of_the_sample_is_explained() -> None:
    explained = False
    for line in SAMPLE.read_text().splitlines():
        if line.startswith("#"):
            explained = True
        elif not line.strip() or line.startswith("["):
            explained = explained and bool(line.strip())
        else:
            # A key may share the comment above its group, or have one beside it.
            assert explained or "#" in line, line


def test_list_size_is_the_hardware_s() -> None:
    assert LIST_ENTRIES_MAX == ENTRIES_MAX


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("elector.min_hz", "50", "above max_hz"),
        ("tracker.hpt.columns", "1000", "power of two"),
        ("tracker.hpt.entries", "4097", "4096"),
        ("promoter.rate_limit_MBps", "0", "greater than 0"),
        ("scope.pids", "[0]", "1 and up"),
        ("nominator.mode", "best", "hpt"),
        ("promoter.kind", "magic", "module"),
        ("tracker.kind", "magic", r"tracker\.kind = \"magic\": must be one of damon, device, pac"),
        ("policy.name", "foo", r"policy\.name = \"foo\": must be density or .*module:Class"),
        ("policy.name", "my-policies:Best", "module:Class"),
        ("tracker.damon.min_regions", "1001", r"damon\.max_regions = 1000: .* min_regions.* 1001"),
        ("tracker.damon.sample_us", "100001", r"damon\.aggregate_us = 100000: .* sample_us"),
        ("socket", "3", "socket = 3: must be a path, written as a string"),
    ],
)
def test_a_wrong_value_names_what_is_allowed(key: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        with_change(M5Settings(), key, value)


def test_a_scope_is_a_cgroup_or_processes() -> None:
    both = {"scope": {"pids": [1], "cgroup": "web"}}
    with pytest.raises(ConfigError, match=r"m5\.toml: scope = .*: names both pids and a cgroup"):
        validate(both, M5Settings, "m5.toml")


def test_a_tracker_that_somebody_registered_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "_REGISTRY", dict(trackers._REGISTRY))
    trackers.register_tracker("chmu")(trackers.make_tracker)
    assert with_change(M5Settings(), "tracker.kind", "chmu").tracker.kind == "chmu"


def test_a_policy_of_one_s_own_is_named_by_module_and_class() -> None:
    chosen = with_change(M5Settings(), "policy.name", "my.policies:Best")
    assert chosen.policy.name == "my.policies:Best"


def test_a_key_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="tracker"):
        validate({"traker": {}}, M5Settings, "m5.toml")


def test_settable_keys_exist() -> None:
    known = keys(M5Settings)
    for allowed in SETTABLE:
        assert any(key == allowed or key.startswith(allowed + ".") for key in known), allowed
    assert is_settable("elector.payback_s")
    assert not is_settable("tracker.kind")
    assert not is_settable("electors")
