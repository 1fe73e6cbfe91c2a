"""What a host proves to etcd, and what it asks of it: TLS, and a user with a password."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from tiermem.errors import ConfigError
from tiermem.oasis.allocator.state_settings import StateSettings

_PASSWORD_BYTES_MAX = 1024
_FOR_OTHERS = 0o077


@dataclass(frozen=True)
class EtcdAccess:
    """tls: how https endpoints are spoken to; None: as this host does by itself. user: None
    where etcd asks for none."""

    tls: ssl.SSLContext | None = None
    user: str | None = None
    password: str = field(default="", repr=False)


ANYBODY = EtcdAccess()


def read_access(settings: StateSettings) -> EtcdAccess:
    """By the config's files. ConfigError where one cannot be used, or is not kept secret."""
    password = ""
    if settings.etcd_password_file is not None:
        password = _read_password(settings.etcd_password_file)
    return EtcdAccess(_tls(settings), settings.etcd_user, password)


def _tls(settings: StateSettings) -> ssl.SSLContext | None:
    if settings.etcd_ca is None and settings.etcd_cert is None:
        return None
    context = ssl.create_default_context()
    if settings.etcd_ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _read("etcd_ca", settings.etcd_ca)
        try:
            context.load_verify_locations(settings.etcd_ca)
        except ssl.SSLError as error:
            raise ConfigError(
                f"etcd_ca = {settings.etcd_ca}: holds no certificates (PEM)"
            ) from error
    if settings.etcd_cert is not None and settings.etcd_key is not None:
        _read("etcd_cert", settings.etcd_cert)
        _read_secret("etcd_key", settings.etcd_key)
        try:
            # Whoever has a key that needs a password is not asked for it at a terminal.
            context.load_cert_chain(settings.etcd_cert, settings.etcd_key, password="")
        except ssl.SSLError as error:
            raise ConfigError(
                f"etcd_cert = {settings.etcd_cert}, etcd_key = {settings.etcd_key}: are no "
                f"certificate and its key, without a password (PEM): {error.reason or error}"
            ) from error
    return context


def _read_password(path: Path) -> str:
    content = _read_secret("etcd_password_file", path)
    password = content.splitlines()[0] if content else b""
    if not password or len(password) > _PASSWORD_BYTES_MAX or not _is_text(password):
        raise ConfigError(
            f"etcd_password_file = {path}: must hold the password in its first line, of at most "
            f"{_PASSWORD_BYTES_MAX} bytes of UTF-8"
        )
    return password.decode()


def _is_text(data: bytes) -> bool:
    try:
        return data.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _read_secret(key: str, path: Path) -> bytes:
    """Only if nobody may read it but its owner, who is root or whoever runs this."""
    content = _read(key, path)
    found = path.stat()
    mode = found.st_mode & 0o777
    if mode & _FOR_OTHERS:
        raise ConfigError(f"{key} = {path}: others may use it (mode {mode:04o}): chmod 600 {path}")
    if found.st_uid not in (0, os.geteuid()):
        raise ConfigError(f"{key} = {path}: is user {found.st_uid}'s: chown root {path}")
    return content


def _read(key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{key} = {path}: cannot be read: {error.strerror}") from error
