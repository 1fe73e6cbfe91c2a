"""A warm function in Node.js: compiled by V8, with worker threads, libuv's pool and timers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.unit.cxlfork.restoring.conftest import Cloner
from tests.unit.cxlfork.targets import Target

NODE = shutil.which("node")
RESTORES = int(os.environ.get("TIERMEM_TEST_RESTORES", "3"))
BEFORE, AFTER = 60, 20

pytestmark = pytest.mark.skipif(NODE is None, reason="Node.js is not installed here")

# Each line depends on all before it, and on what three kinds of threads compute.
FUNCTION = """
const fs = require("fs"), crypto = require("crypto"), zlib = require("zlib");
const { Worker } = require("worker_threads");
const go = process.argv[1];
let state = 1;
function mix(x) { x ^= x << 13; x ^= x >>> 17; x ^= x << 5; return x >>> 0; }
for (let i = 0; i < 300000; i++) state = mix(state);
const table = new Map();
for (let i = 0; i < 5000; i++) table.set(String(i), { value: (state = mix(state)) });
const worker = new Worker(`
  const { parentPort } = require("worker_threads");
  let sum = 0;
  parentPort.on("message", n => parentPort.postMessage(sum += n));
`, { eval: true });
function step(i, then) {
  for (let k = 0; k < 500; k++) state = mix(state);
  const text = JSON.stringify({ i, value: table.get(String(state % 5000)) });
  zlib.deflate(text, (error, packed) => {
    crypto.pbkdf2(packed, "salt", 5, 8, "sha256", (error, key) => {
      worker.once("message", sum => then(`${i} ${state} ${key.toString("hex")} ${sum}`));
      worker.postMessage(state % 1000);
    });
  });
}
function run(i, end, say, then) {
  if (i === end) return then();
  step(i, line => { say(line); setTimeout(run, 1, i + 1, end, say, then); });
}
run(0, BEFORE, () => {}, () => {
  console.log("ready");
  const look = setInterval(() => {
    if (!fs.existsSync(go)) return;
    clearInterval(look);
    run(BEFORE, BEFORE + AFTER, line => console.log(line), () => process.exit(7));
  }, 2);
});
"""


def test_it_answers_on_as_it_would_have(cloner: Cloner, may_trace: None, tmp_path: Path) -> None:
    assert NODE is not None
    text = FUNCTION.replace("BEFORE", str(BEFORE)).replace("AFTER", str(AFTER))
    with Target([NODE, "-e", text, str(tmp_path / "go")]) as target:
        assert target.line() == "ready"
        source = cloner.take(target)
        clones = [cloner.restore(source) for _ in range(2)]
        (tmp_path / "go").touch()
        wanted = target.rest()
        assert len(wanted) == AFTER
        for clone in clones:
            assert [clone.line() for _ in range(AFTER)] == wanted
            assert clone.process.wait(20) == 7
        for _ in range(RESTORES):
            clone = cloner.restore(source)
            assert clone.line() == wanted[0]
            clone.process.kill()
