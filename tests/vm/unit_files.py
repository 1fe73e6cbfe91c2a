"""The package's systemd units in a guest, as they are installed on hosts."""

from __future__ import annotations

from tiermem.testbed.guest_python import SOURCE


def unit_file(name: str) -> str:
    """Where the unit `name` (tiermem-m5, …) is put; what tests change lies in NAME.service.d."""
    return f"/run/systemd/system/{name}.service"


def install_script(name: str) -> str:
    """Lines of shell: the unit with the group and the folders that it needs; not yet loaded."""
    unit = unit_file(name)
    return f"""
mkdir -p /run/sysusers.d /run/tmpfiles.d {unit}.d
cp {SOURCE}/userspace/systemd/sysusers.conf /run/sysusers.d/tiermem.conf
cp {SOURCE}/userspace/systemd/tmpfiles.conf /run/tmpfiles.d/tiermem.conf
systemd-sysusers
systemd-tmpfiles --create tiermem.conf
sed 's|/opt/tiermem/bin/tiermem|/usr/local/bin/tiermem|' \\
    {SOURCE}/userspace/systemd/{name}.service > {unit}
"""
