# The menu. Every target works in a fresh checkout: scripts/setup brings what is missing.
PYTHON := .venv/bin/python
UV := .tools/bin/uv
COMPILE := $(UV) pip compile pyproject.toml --python-version 3.11 --universal --generate-hashes --no-header --no-emit-index-url -q
C_SOURCES = $(wildcard bpf/*/*.c bpf/*/*.h)
SHELL_SCRIPTS := scripts/run scripts/setup scripts/test scripts/long .ci/run tests/vm/run
LONG_PARTS := $(addprefix long-,quiet kills floods properties soak memory fuzz-kernel fuzz-dns fuzz-recipes fuzz-recording \
	fuzz-protocol vm emergency)
PYTHON_SOURCES = src tests hatch_build.py $(wildcard bench)

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: ## set up, then start the agent in the foreground
	@scripts/run

demo: ## set up, then show a detection and its reaction
	@scripts/setup run
	@.venv/bin/raqib demo

test: ## set up, then lint, types and all tests
	@scripts/test

unit: setup ## the tests that need neither root nor a kernel with BTF
	$(PYTHON) -m pytest -q tests/unit

long: setup ## the long proofs, about three hours: quiet list, soak, fuzzing, other kernels; make long-PART for one
	@scripts/long

$(LONG_PARTS): setup
	@scripts/long $(@:long-%=%)

lint: setup ## style and types of Python, C and shell
	$(PYTHON) -m ruff check $(PYTHON_SOURCES)
	$(PYTHON) -m ruff format --check $(PYTHON_SOURCES)
	$(PYTHON) -m mypy
	.venv/bin/clang-format --dry-run -Werror $(C_SOURCES)
	@if command -v shellcheck >/dev/null; then shellcheck $(SHELL_SCRIPTS); else echo 'shellcheck is not installed: scripts not checked'; fi

format: setup ## rewrite Python and C in the project's style
	$(PYTHON) -m ruff check --fix $(PYTHON_SOURCES)
	$(PYTHON) -m ruff format $(PYTHON_SOURCES)
	.venv/bin/clang-format -i $(C_SOURCES)

bench: setup ## the workloads behind the numbers in README
	$(PYTHON) -m bench

verifier-cost: setup ## what the verifier makes of each eBPF program, compared with what is checked in
	@$(PYTHON) -m bench.verifier

vm: setup-vm ## load, attach and see a program start on other kernels, in virtual machines
	@tests/vm/run

vm-emergency: setup-vm ## take virtual machines down by PowerOff() and Panic()
	@$(PYTHON) -m tests.vm.emergency

wheel: setup ## dist/raqib-*.whl, objects for every processor included
	$(PYTHON) -m build --wheel --no-isolation

lock: setup ## resolve the dependencies anew: requirements/*.txt; UPGRADE=--upgrade takes newer releases
	$(COMPILE) $(UPGRADE) --group dev -o requirements/dev.txt
	$(COMPILE) $(UPGRADE) --group build -c requirements/dev.txt --no-annotate -o requirements/run.txt
	$(UV) pip compile requirements/fuzz.in $(UPGRADE) --python-version 3.11 --universal --generate-hashes --no-header --no-emit-index-url -q -o requirements/fuzz.txt
	$(UV) pip compile requirements/uv.in $(UPGRADE) --universal --generate-hashes --no-header --no-emit-index-url -q -o requirements/uv.txt

clean: ## remove what was built; keeps the environment
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	$(MAKE) -s -C bpf clean OUT=$(CURDIR)/src/raqib/kernel/objects

setup:
	@scripts/setup test

setup-vm:
	@scripts/setup vm

.DEFAULT_GOAL := help
.PHONY: help run demo test unit long $(LONG_PARTS) lint format bench verifier-cost vm vm-emergency wheel lock clean setup setup-vm
