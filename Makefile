# `make help` lists the targets. .venv is what a user has (the installed wheel); .venv-dev holds the
# development tools and an editable install, so that neither disturbs the other.
SHELL   := /bin/sh
JOBS    ?= $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
USER_ENV := .venv
DEV_ENV  := .venv-dev
BUILD    := build/dev
DEV      := $(abspath $(DEV_ENV))
PY       := $(DEV)/bin/python
# Where the public data sets lie, for the README blocks, tests and benchmarks that read them.
EMISOPT_DATA ?= $(abspath ../shared/data)

export CMAKE_BUILD_PARALLEL_LEVEL ?= $(JOBS)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# With the development environment first, CMake, ninja and ctest come from it, and FindPython takes it.
IN_DEV := VIRTUAL_ENV="$(DEV)" PATH="$(DEV)/bin:$$PATH" EMISOPT_DATA="$(EMISOPT_DATA)" \
  PYTHONUNBUFFERED=1

SOURCES := pyproject.toml CMakeLists.txt \
  $(shell find cmake csrc kernels python -type f ! -name '*.pyc' 2>/dev/null)
CXX_FILES := find csrc kernels python/bindings tests/cpp tests/cuda_host examples/cpp -type f \
  \( -name '*.cpp' -o -name '*.hpp' -o -name '*.inl' -o -name '*.cu' \) -print0
PY_DIRS := $(wildcard python tests benchmarks tools examples)
PAGES := README.md CONTRIBUTING.md docs

.PHONY: help demo build test slow check lint format bench stubs clean gpu-bundle gpu-test gpu-sanitize gpu-bench
.DEFAULT_GOAL := help
.NOTPARALLEL:  # the steps share the build tree and the cores; each uses all cores by itself

help:   ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(USER_ENV)/.installed   ## build, install into .venv, run the whole loop on a simulated boiler: ./demo
	$(USER_ENV)/bin/emisopt demo

$(USER_ENV)/.installed: $(SOURCES) tools/bootstrap.sh
	tools/bootstrap.sh $(USER_ENV)
	@echo "compiling the C++ core: about ten minutes of processor time (by hand, with every file: pip install -v .)"
	$(USER_ENV)/bin/python -m pip install .
	@touch $@

$(DEV_ENV)/.ready: pyproject.toml tools/bootstrap.sh
	tools/bootstrap.sh $(DEV_ENV) --tests
	$(PY) -m pip install -q "pip>=25.1"
	$(PY) -m pip install -q --group dev
	@touch $@

build: $(DEV_ENV)/.ready   ## one tree for the C++ tests and the Python module (build/dev), editable install
	@echo "building emisopt in $(BUILD) with $(JOBS) jobs"
	@$(IN_DEV) $(PY) -m pip install -q --no-build-isolation --no-deps -e . \
	  -Cbuild-dir=$(BUILD) -Ccmake.define.EMISOPT_BUILD_TESTS=ON

STEPS = $(IN_DEV) $(PY) tools/run_steps.py

test: build   ## what a user runs: C++ and Python tests, a few minutes
	@$(STEPS) \
	  ctest="ctest --test-dir $(BUILD) --no-tests=error --output-on-failure -j $(JOBS) -LE slow" \
	  pytest="python -m pytest -m 'not slow'"

slow: build   ## what takes longer: sanitizers, wheel in a clean environment, README, notebooks, examples
	@$(STEPS) --with ctest pytest -- \
	  ctest-slow="ctest --test-dir $(BUILD) --no-tests=error --output-on-failure -j $(JOBS) -L slow" \
	  asan="cmake --preset asan && cmake --build --preset asan && ctest --preset asan -j $(JOBS)" \
	  readme="python tools/run_readme.py --link data=$(EMISOPT_DATA) $(PAGES)" + \
	  examples="python tools/run_examples.py notebooks examples" \
	  pytest-slow="python -m pytest -m slow"

check: lint test slow   ## everything that must hold before a change lands: lint, test and slow

lint: $(DEV_ENV)/.ready   ## formats, static types, layers, file lengths, marked README blocks
	@$(STEPS) \
	  clang-format="$(CXX_FILES) | xargs -0 clang-format --dry-run -Werror" \
	  ruff="ruff check $(PY_DIRS) && ruff format --check $(PY_DIRS)" \
	  mypy="mypy" \
	  layers="python tools/check_layers.py" \
	  marks="python tools/run_readme.py --check $(PAGES)"

format: $(DEV_ENV)/.ready   ## rewrite C++ and Python files in the house format
	$(CXX_FILES) | $(IN_DEV) xargs -0 clang-format -i
	$(IN_DEV) ruff check --fix $(PY_DIRS)
	$(IN_DEV) ruff format $(PY_DIRS)

stubs: build   ## regenerate python/emisopt/_core.pyi from the compiled module
	$(IN_DEV) python tools/make_stubs.py

bench: build   ## every benchmark suite, short form
	$(IN_DEV) python -m benchmarks --quick

# Where nothing can be installed the system's Python does it. GPU_FLAGS=--rehearse: on the CPU.
GPU = $(if $(wildcard $(PY)),$(IN_DEV) $(PY),python3) -m tools.gpu
gpu-bundle:   ## build/emisopt-gpu.tar.gz: all that a CUDA machine without network needs (docs/cuda.md)
	@$(GPU) bundle $(GPU_FLAGS)

gpu-test:   ## the kernels' tests on the GPU; 8 minutes at most, then call it again
	@$(GPU) test $(GPU_FLAGS)

gpu-sanitize:   ## the same under compute-sanitizer
	@$(GPU) sanitize $(GPU_FLAGS)

gpu-bench:   ## training, ticks, attention against PyTorch
	@$(GPU) bench $(GPU_FLAGS)

clean:   ## remove what was built, both environments included
	rm -rf build dist $(USER_ENV) $(DEV_ENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
