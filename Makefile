# Targets are the README's commands. Each sets up .venv by itself.
# What is only for measuring stands in benchmarks/Makefile and is called from here too: make bench-demo.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RECIPES := fp16 w8 w8a8 w4

.PHONY: demo recipes coreml coreai demo-bundle conformance test pytest lint types docs check wheel-check compat install clean
.DEFAULT_GOAL := demo

# Others need pip too, while the rest is being installed.
$(VENV)/.pip:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r tests/supply/pip.txt
	touch $@

# A strict editable install links files one by one, so new files need a new install. Its warning says so at each.
EDITABLE := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --no-build-isolation \
	--config-settings editable_mode=strict

# All by hash. Of PyTorch whichever build pip would take without hashes: with them it prefers what an index has hashes of,
# and that is a build for GPUs. Last what the list lacks on purpose, if this PyTorch wants it (tests/supply/lock.py).
HASHED := $(BIN)/python -m pip install --quiet --no-deps --require-hashes
TORCH := build/torch
$(VENV)/.made: requirements-dev.txt | $(VENV)/.pip
	$(BIN)/python -m pip download --quiet --no-deps --dest $(TORCH) -c constraints.txt torch
	sed -n '/^torch==/,/[^\\]$$/p' $< > $(TORCH)/requirements.txt
	$(HASHED) --no-index --find-links $(TORCH) -r $(TORCH)/requirements.txt
	rm -rf $(TORCH)
	$(HASHED) -r $<
	$(EDITABLE) -c constraints.txt -e ".[dev]"
	touch $@

install: $(VENV)/.made
	$(EDITABLE) --no-deps -e .

# How bundles are made: build/NAME-fp32, -cpu, -sampler, -coreml and -coreai are exports, others stand for a recipe.
EXPORT_cpu := --optimize cpu
EXPORT_coreml := --target coreml
EXPORT_coreai := --target coreai
EXPORT_sampler := --with-sampler
# $(call EXPORT,CHECKPOINT,NAME)
EXPORT = rm -rf $(@D) && $(BIN)/amused-edge export $(1) $(@D) --name $(2) $(EXPORT_$*)
# $(call QUANTIZE,OPTIONS)
QUANTIZE = rm -rf $(@D) $(@D).account.* && $(BIN)/amused-edge quantize $(<D) $(@D) --recipe $* $(1)

# The demo's, made anew whenever a source that they depend on changed.
DEMO := build/demo
EXPORT_SOURCES := $(shell find export runtime -name "*.py")
QUANTIZE_SOURCES := $(shell find quantization benchmarks -name "*.py")
QUANTIZE_DEMO = $(call QUANTIZE,--prompts demo/prompts.txt)

$(patsubst %,$(DEMO)-%/manifest.json,fp32 cpu sampler coreml coreai): $(DEMO)-%/manifest.json: $(EXPORT_SOURCES) | install
	$(call EXPORT,demo/checkpoint,amused-edge-demo)

$(DEMO)-%/manifest.json: $(DEMO)-fp32/manifest.json $(QUANTIZE_SOURCES) | install
	$(QUANTIZE_DEMO)

$(DEMO)-cpu-%/manifest.json: $(DEMO)-cpu/manifest.json $(QUANTIZE_SOURCES) | install
	$(QUANTIZE_DEMO)

$(DEMO)-coreml-%/manifest.json: $(DEMO)-coreml/manifest.json $(QUANTIZE_SOURCES) | install
	$(QUANTIZE_DEMO)

$(DEMO)-coreai-%/manifest.json: $(DEMO)-coreai/manifest.json $(QUANTIZE_SOURCES) | install
	$(QUANTIZE_DEMO)

demo: install $(DEMO)-fp32/manifest.json
	rm -f $(DEMO).png
	$(BIN)/amused-edge generate $(DEMO)-fp32 --prompts-file demo/sheet.txt --sheet $(DEMO).png --scale 3 --quiet
	@echo "the pictures: $(DEMO).png"

# $(call SIDE_BY_SIDE,BUNDLES,OPTIONS): draws the sheet's first prompts with each, a row for each.
SIDE_BY_SIDE = rm -f build/$@.png && $(BIN)/python -m amused_edge.benchmarks.scripts.side_by_side build/$@.png $(1) \
	--prompts-file demo/sheet.txt --limit 6 --scale 2 $(2) && echo "the pictures: build/$@.png"

# The demo bundle by each recipe, and their pictures side by side.
DEMO_BUNDLES := $(DEMO)-fp32 $(RECIPES:%=$(DEMO)-%)
recipes: install $(DEMO_BUNDLES:%=%/manifest.json)
	@$(call SIDE_BY_SIDE,$(DEMO_BUNDLES))

# The demo for Core ML, drawn by the NumPy evaluator beside the ONNX bundle's pictures.
COREML_BUNDLES := $(DEMO)-fp32 $(DEMO)-coreml $(DEMO)-coreml-w8
coreml: install $(COREML_BUNDLES:%=%/manifest.json)
	@$(call SIDE_BY_SIDE,$(COREML_BUNDLES),--simulate half)

# The demo for Core AI, drawn by its own runtime beside ONNX's pictures and Core ML's.
COREAI_BUNDLES := $(DEMO)-fp32 $(DEMO)-coreml $(DEMO)-coreai
coreai: install $(COREAI_BUNDLES:%=%/manifest.json)
	@$(call SIDE_BY_SIDE,$(COREAI_BUNDLES),--simulate half)

# The bundle that draws without an export; a test compares it with a fresh one.
demo-bundle: install $(DEMO)-w8/manifest.json
	rm -rf demo/bundle
	cp -R $(DEMO)-w8 demo/bundle

# What ports must reproduce, written anew by the Python runtime; the pictures of w8 are those of demo/bundle.
conformance: install $(patsubst %,$(DEMO)-%/manifest.json,fp32 $(filter-out w8,$(RECIPES)))
	$(BIN)/python -m amused_edge.conformance make

# The site, from the guides and the docstrings: build/docs/index.html. A warning is an error.
docs: install
	rm -rf build/docs
	$(BIN)/sphinx-build --quiet --nitpicky --fail-on-warning --keep-going --conf-dir docs . build/docs

# One worker per core, up to four: one and what it starts take about 1.5 GB. Idle ones take over tests of busy ones.
pytest: install
	$(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist worksteal

test: pytest web android

lint: install web-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# From another folder: in the root the hall would hide the rooms.
types: install web-types
	cd build && ../$(BIN)/mypy --config-file ../pyproject.toml

# Clients that come all at once, stay, leave and send nonsense, for two minutes; and requests that no client would send.
.PHONY: serve-soak serve-fuzz
serve-soak: install
	$(BIN)/python tests/serve/soak.py

FUZZ := build/fuzz
serve-fuzz: install
	$(PYTHON) -m venv $(FUZZ) && $(FUZZ)/bin/python -m pip install --quiet -r tests/serve/fuzz-requirements.txt
	cd build && ../$(BIN)/python ../tests/serve/fuzz.py $(CURDIR)/$(FUZZ)/bin/schemathesis --max-examples 200

check: test lint types docs wheel-check

# The wheel holds every tracked source file and the page, where npm could build it, and works where only the runtime's
# packages are installed.
wheel-check: install studio
	rm -rf build/wheel build/bare build/lib
	$(BIN)/python -m build --quiet --no-isolation --wheel --outdir build/wheel .
	$(BIN)/python tests/wheel_content.py build/wheel/*.whl
	$(PYTHON) -m venv build/bare && build/bare/bin/python -m pip install --quiet --require-hashes -r requirements.txt
	build/bare/bin/python -m pip install --quiet --no-deps build/wheel/*.whl && build/bare/bin/python -m pip check
	cd build && bare/bin/python ../tests/wheel_smoke.py $(CURDIR)/demo/bundle

# Runs the demo bundles on the oldest ONNX Runtime that each manifest names, with the sampler as a graph where it is there.
COMPATIBLE := $(DEMO_BUNDLES) $(DEMO)-cpu $(DEMO)-cpu-w8a8 $(DEMO)-sampler
compat: install $(COMPATIBLE:%=%/manifest.json)
	for bundle in $(COMPATIBLE); do \
		oldest=$$($(BIN)/python -c 'import json, sys; print(json.load(open(sys.argv[1]))["engine"]["oldest_tried"])' \
			$$bundle/manifest.json) && echo "$$bundle on onnxruntime $$oldest" && \
		rm -rf build/compat build/lib && $(PYTHON) -m venv build/compat && \
		build/compat/bin/python -m pip install --quiet . "onnxruntime==$$oldest" && \
		(cd build && compat/bin/amused-edge inspect --verify $(CURDIR)/$$bundle) && \
		{ [ ! -e $$bundle/sampler.onnx ] || build/compat/bin/python tests/sampler_listing.py $(CURDIR)/$$bundle; } || exit 1; done

# The demo by each recipe on emulated processors, beside this machine: ARM, about 15 minutes, and x86 without 8-bit dot
# products, 5 minutes. The system that they run in is made once.
EMULATED := build/emulated
$(EMULATED)/.made: tests/processors/system.sh constraints.txt | $(VENV)/.made
	tests/processors/system.sh $(EMULATED) $(BIN)/python
	touch $@

.PHONY: arm64 haswell
EMULATED_BUNDLES := $(DEMO_BUNDLES) $(DEMO)-w8a8-blocks $(DEMO)-cpu $(DEMO)-cpu-w8a8
COMPARE := $(BIN)/python tests/processors/compare.py $(EMULATED) $(EMULATED_BUNDLES) --processors
arm64 haswell: install $(EMULATED)/.made $(EMULATED_BUNDLES:%=%/manifest.json)
arm64:
	rm -rf build/lib && $(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(EMULATED)/site .
	$(COMPARE) Cortex-A72 Cortex-A76 i8mm

haswell:
	$(COMPARE) Haswell

include apps/web/Makefile
include apps/android/Makefile
include apps/optimum/Makefile
include benchmarks/Makefile
include tests/faults/Makefile

clean:
	rm -rf build $(VENV) *.egg-info
