"""Real OpenAI-compatible servers with KV tiers, as processes, and what is asked of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.smollm2 import model_folder
from tests.serving.kv.engines import SMALL

_START_S = 300.0
_ANSWER_S = 120.0


class Server:
    """`kill` it, or `stop` it. extra: options of the tiers. log: its output goes there."""

    def __init__(self, extra: Mapping[str, Any], log: Path) -> None:
        self.url = f"http://127.0.0.1:{_free_port()}"
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                _command(extra, self.url.rpartition(":")[2]),
                stdout=output,
                stderr=subprocess.STDOUT,
                # The worker in the engine's process, whose memory the tiers are.
                env={**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "0"},
                start_new_session=True,
            )

    def wait_until_it_serves(self) -> None:
        deadline_s = time.monotonic() + _START_S
        while time.monotonic() < deadline_s:
            assert self._process.poll() is None, self._log.read_text()[-3000:]
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.2)
        raise TimeoutError(self._log.read_text()[-3000:])

    def answer(self, tokens: list[int], count: int = 6) -> list[int]:
        """What the model says to it, greedily."""
        asked = {
            "model": "smollm2",
            "prompt": tokens,
            "max_tokens": count,
            "temperature": 0,
            "ignore_eos": True,
            "return_token_ids": True,
        }
        request = urllib.request.Request(
            f"{self.url}/v1/completions",
            json.dumps(asked).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:
            (choice,) = json.load(answer)["choices"]
        return list(choice["token_ids"])

    def events(self, tier: str, event: str) -> int:
        """Of its tiers, as /metrics has it."""
        from prometheus_client.parser import text_string_to_metric_families

        with urllib.request.urlopen(f"{self.url}/metrics", timeout=_ANSWER_S) as answer:
            text = answer.read().decode()
        return int(
            sum(
                sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
                if sample.name == "vllm:tiermem_kv_events_total"
                and sample.labels["tier"] == tier
                and sample.labels["event"] == event
            )
        )

    def kill(self) -> None:
        """At once, with the engine's process."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As systemd does."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, how)
        self._process.wait(60)
        # The engine's process belongs to the group, and may outlive its parent for a moment.
        deadline_s = time.monotonic() + 60
        while _group_lives(self._process.pid):
            if time.monotonic() > deadline_s:
                os.killpg(self._process.pid, signal.SIGKILL)
            time.sleep(0.05)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _command(extra: Mapping[str, Any], port: str) -> list[str]:
    transfer = {
        "kv_connector": "TieredKV",
        "kv_role": "kv_both",
        "kv_connector_module_path": "tiermem.serving.kv.vllm_connector",
        "kv_load_failure_policy": "recompute",
        "kv_connector_extra_config": dict(extra),
    }
    return [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
        *("--host", "127.0.0.1", "--port", port),
        *("--model", str(model_folder("float32")), "--served-model-name", "smollm2"),
        *("--dtype", SMALL["dtype"], "--enforce-eager"),
        *("--max-model-len", str(SMALL["max_model_len"])),
        *("--block-size", str(SMALL["block_size"])),
        *("--num-gpu-blocks-override", str(SMALL["num_gpu_blocks_override"])),
        *("--max-num-seqs", str(SMALL["max_num_seqs"])),
        *("--kv-transfer-config", json.dumps(transfer)),
    ]
