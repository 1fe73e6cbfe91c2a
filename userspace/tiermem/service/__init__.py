"""What every daemon shares: config, local API, metrics, state, systemd's notifications.

A daemon is put together from these parts:

- `config`: one TOML file into one frozen pydantic model, or a one-line ConfigError;
- `api`: HTTP/JSON over a Unix socket, group may read, root may write; `client` speaks to it,
  `socket_file` says where it lies and whose it is;
- `metrics`: the daemon's own Prometheus registry, served by the API as /metrics;
- `state`: a small file that survives a restart and is set aside when it is damaged;
- `notify`: READY, STATUS, WATCHDOG and STOPPING for systemd;
- `lifecycle`: waits for SIGTERM or SIGINT, reloads on SIGHUP.
"""
