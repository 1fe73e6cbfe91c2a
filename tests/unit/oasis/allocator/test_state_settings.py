"""What a config may say of where the allocator's state is."""

from __future__ import annotations

import pytest
from tiermem.errors import ConfigError
from tiermem.oasis.allocator.state_settings import StateSettings
from tiermem.service.config import validate

OPEN = {"state": "etcd", "etcd": ["https://a:2379", "http://b:2379"]}
SAFE = {"state": "etcd", "etcd": ["https://a:2379"]}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"state": "etcd"}, "needs endpoints"),
        ({"etcd": ["http://127.0.0.1:2379"]}, "needs endpoints"),
        ({"state": "etcd", "etcd": ["127.0.0.1:2379"]}, r"etcd\.0 = .*pattern"),
        ({**SAFE, "etcd_cert": "/c"}, "etcd_cert and etcd_key belong together"),
        ({**SAFE, "etcd_user": "u"}, "etcd_user and etcd_password_file belong together"),
        ({**OPEN, "etcd_ca": "/c"}, "etcd_ca is for endpoints that all begin with https://"),
        (
            {**OPEN, "etcd_user": "u", "etcd_password_file": "/p"},
            "etcd_user is for endpoints that all begin with https://",
        ),
        ({"etcd_ca": "/c"}, 'etcd_ca is for state "etcd"'),
    ],
)
def test_settings_name_what_is_wrong(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        validate(values, StateSettings, "oasis.toml")


def test_the_pool_is_the_default_and_etcd_is_named_by_its_endpoints() -> None:
    assert validate({}, StateSettings, "oasis.toml").state == "pool"
    given = {"state": "etcd", "etcd": ["http://10.0.0.1:2379", "https://etcd.example:2379/"]}
    assert validate(given, StateSettings, "oasis.toml").etcd == tuple(given["etcd"])
