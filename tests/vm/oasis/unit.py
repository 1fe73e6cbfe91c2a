"""oasisd as a systemd unit of a guest, as it is installed on hosts."""

from __future__ import annotations

from tiermem.testbed import Guest

from tests.vm.guest_python import ENVIRONMENT, SOURCE

UNIT = "/run/systemd/system/tiermem-oasis.service"
_INSTALL = f"""
mkdir -p /run/sysusers.d /run/tmpfiles.d /etc/tiermem {UNIT}.d
cp {SOURCE}/userspace/systemd/sysusers.conf /run/sysusers.d/tiermem.conf
cp {SOURCE}/userspace/systemd/tmpfiles.conf /run/tmpfiles.d/tiermem.conf
systemd-sysusers
systemd-tmpfiles --create tiermem.conf
sed 's|/opt/tiermem/bin/tiermem|/usr/local/bin/tiermem|' \
    {SOURCE}/userspace/systemd/tiermem-oasis.service > {UNIT}
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
