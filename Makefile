# tiermem: everything a person types. `make` alone lists it.
#
# demo and test do all the set-up they need: host packages (as root), a Python
# environment in .venv, the native extensions, and the testbed's image. install
# needs none of that: it makes an environment of its own, for a host that runs M5.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VLLM := .venv-vllm
BUILD := build
KDIR ?= /lib/modules/$(shell uname -r)/build
PREFIX ?= /opt/tiermem
DESTDIR ?=

export PYTHONUNBUFFERED := 1
# Tests start some hundred interpreters: none is to compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: setup ## M5 on a real Redis in the testbed, against the kernel's own tiering
	$(BIN)/python -m bench.demo

.PHONY: test
test: setup lint unit vm ## lint, unit tests, then the tests inside the testbed

.PHONY: setup
setup: $(VENV)/.installed native ## host packages, .venv, native extensions

$(VENV)/.installed: pyproject.toml scripts/setup.sh
	PYTHON=$(PYTHON) scripts/setup.sh $(VENV)
	touch $@

.PHONY: native
native: $(VENV)/.installed
	$(BIN)/python userspace/tiermem/native/build.py

# In two parts, since pytest-xdist has each of its processes collect all tests; rooms that
# are not named are in the second.
UNIT_FIRST := $(wildcard $(addprefix tests/unit/,cxlfork hosts layer m5 memsys native pool service serving trackers))
UNIT_SECOND := $(filter-out $(UNIT_FIRST),$(patsubst %/__init__.py,%,$(wildcard tests/unit/*/__init__.py)))
UNIT_PYTEST := $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: unit unit-first unit-second
unit: setup ## tests/unit: host only, seconds
	$(BIN)/python -m compileall -q userspace bench
	@echo "tests/unit: both halves at once, for about a minute"
	$(MAKE) -s -k -j 2 --output-sync=target unit-first unit-second

unit-first:
	$(UNIT_PYTEST) $(UNIT_FIRST)

unit-second:
	$(UNIT_PYTEST) $(UNIT_SECOND)

.PHONY: model
model: setup ## the channel: spin checks every interleaving, its code sends ten million messages (a minute)
	mkdir -p $(BUILD)/model
	cd $(BUILD)/model && spin -a -DWEATHER $(abspath userspace/tiermem/native/channel.pml) \
		&& $(CC) -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m300000 -q > report
	grep -q 'errors: 0' $(BUILD)/model/report
	TIERMEM_TEST_MESSAGES=10000000 $(BIN)/pytest -q tests/unit/oasis/test_channel_without_coherence.py

$(VLLM)/.installed: pyproject.toml scripts/setup_vllm.py
	$(PYTHON) scripts/setup_vllm.py $(VLLM)
	touch $@

# Two of tests/unit have tests that need torch, which is not in .venv.
WITH_TORCH := tests/unit/layer/arena/test_arena.py tests/unit/pool/test_pool.py

.PHONY: serving
serving: setup $(VLLM)/.installed ## tests/serving: with vLLM for the CPU and a real model (3.6 GB)
	VLLM_ENABLE_V1_MULTIPROCESSING=0 HF_HUB_OFFLINE=1 $(VLLM)/bin/pytest $(WITH_TORCH) tests/serving

.PHONY: example-chat
example-chat: setup $(VLLM)/.installed ## a chat with vLLM whose history comes back from memory and SSD (2 minutes)
	$(VLLM)/bin/python examples/chat

.PHONY: vm
vm: setup ## tests/vm: kernel-level, inside the testbed
	$(BIN)/tiermem testbed build
	$(BIN)/pytest -n 2 --dist loadgroup --no-loadscope-reorder tests/vm

.PHONY: lint
lint: setup ## ruff, mypy on the package, C with warnings as errors
	mkdir -p $(BUILD)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -qq --collect-only tests/vm >$(BUILD)/vm-tests || { cat $(BUILD)/vm-tests; exit 1; }
	$(MAKE) -s -C fpga_models OUT=$(abspath $(BUILD))/fpga_models
	scripts/lint-c.sh $(BUILD)

.PHONY: bench-m5
bench-m5: setup ## the page-tiering table (QUICK=1: at most 10 minutes)
	$(BIN)/python -m bench.m5

.PHONY: bench-fork
bench-fork: setup ## CXLfork against cold starts, fork and CRIU (QUICK=1: at most 10 minutes)
	$(BIN)/python -m bench.fork

.PHONY: bench-plugin
bench-plugin: setup ## what the hardware model costs over plain emulation
	$(BIN)/python -m bench.plugin

.PHONY: bench-channel
bench-channel: setup ## channels between hosts, on this machine's processors (QUICK=1)
	$(BIN)/python -m bench.channel

.PHONY: bench-pod
bench-pod: setup ## what pooling NICs and SSDs saves, by simulation (QUICK=1)
	$(BIN)/python -m bench.pod_saving

.PHONY: bench-oasis
bench-oasis: setup ## pooled NICs and SSDs against direct ones, as root (QUICK=1: at most 10 minutes)
	$(BIN)/python -m bench.oasis

.PHONY: bench-serving
bench-serving: setup $(VLLM)/.installed ## KV tiers and schedulers against plain vLLM (QUICK=1: at most 10 minutes; AZURE=, MOONCAKE=: traces)
	$(VLLM)/bin/python -m bench.serving $(if $(AZURE),--azure $(AZURE)) $(if $(MOONCAKE),--mooncake $(MOONCAKE))

.PHONY: soak
soak: setup $(VLLM)/.installed ## 2,000 requests on one vLLM engine with KV tiers: tokens, tiers, memory (REQUESTS=)
	TIERMEM_SOAK_REQUESTS=$(or $(REQUESTS),2000) VLLM_ENABLE_V1_MULTIPROCESSING=0 HF_HUB_OFFLINE=1 \
		$(VLLM)/bin/pytest -s tests/serving/kv/test_soak.py

.PHONY: kmod
kmod: ## the kernel modules for this host's kernel (KDIR=... for another)
	$(MAKE) -C kmod KDIR=$(KDIR) O=$(abspath $(BUILD))/kmod

.PHONY: install
install: ## the package, units, sample config and man page (PREFIX, DESTDIR)
	PYTHON=$(PYTHON) DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) scripts/install.sh

.PHONY: clean
clean: ## what was built here; the testbed's image stays in the user's cache
	rm -rf $(BUILD) bench/out
	find userspace -name '*.so' -delete
