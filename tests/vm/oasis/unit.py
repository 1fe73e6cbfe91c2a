"""oasisd as a systemd unit of a guest, as it is installed on hosts."""

from __future__ import annotations

from tiermem.testbed import Guest

from tests.vm.guest_python import ENVIRONMENT
from tests.vm.unit_files import install_script, unit_file

UNIT = unit_file("tiermem-oasis")
_INSTALL = f"""
{install_script("tiermem-oasis")}mkdir -p /etc/tiermem
cat > {UNIT}.d/try.conf <<END
[Service]
Environment={" ".join(f"{key}={value}" for key, value in ENVIRONMENT.items())}
END
cat > /etc/tiermem/oasis.toml
systemctl daemon-reload
"""
_REMOVE = f"""
systemctl stop tiermem-oasis
rm -rf {UNIT} {UNIT}.d /etc/tiermem/oasis.toml /var/lib/tiermem/oasis.json
systemctl daemon-reload
"""


def install(guest: Guest, config: str) -> None:
    """The unit, with that oasis.toml, not started."""
    guest.check(["bash", "-ec", _INSTALL], stdin=config.encode(), timeout_s=300)


def remove(guest: Guest) -> None:
    """What `install` made."""
    guest.exec(["bash", "-c", _REMOVE], timeout_s=120)
