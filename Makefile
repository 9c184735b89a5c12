# The two commands are `make compare` and `make test`. Both set up what they need: a virtual
# environment in .venv, the compiled extensions, the package. Needed before: python3 (>= 3.11) with
# venv and headers, make, a C++ compiler.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NATIVE := setup.py CMakeLists.txt pyproject.toml $(wildcard legacy/*.p?? legacy/kernels/* legacy/host/* port/*.pyx port/*.h port/*.pxd harness/judging/*.pyx harness/judging/*.h)
RUNS ?= runs
PIP := $(BIN)/pip --quiet --disable-pip-version-check
# $(call install,LIST): install a list of requirements that stands in pyproject.toml.
install = $(BIN)/python -c "import tomllib; t = tomllib.load(open('pyproject.toml', 'rb')); print(*t$(1), sep='\n')" | $(PIP) install -r /dev/stdin

.PHONY: compare test browser sweep licences build bench cuda-check cuda-table gpu-wheels gpu-bundle lint docs picture golden-check fuzz fuzz-trained sanitize sanitized portable archive-check clean

build: $(VENV)/installed

$(VENV)/python: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(call install,['build-system']['requires'])
	touch $@

$(VENV)/installed: $(VENV)/python $(NATIVE)
	@echo "building the extension modules, once per instruction set (about four minutes on two cores)"
	$(PIP) install --no-build-isolation --editable ".[test]"
	touch $@ $(VENV)/native

$(VENV)/native: $(VENV)/python $(NATIVE)
	@echo "building the extension modules for this processor (about two minutes on two cores)"
	ROSETTA_BUILD=$${ROSETTA_BUILD-native,port} $(PIP) install --no-build-isolation --editable .
	touch $@

# AlexNet of 2012, batch 128, on photographs: legacy engine and port, forward, backward and one update. Builds for this
# processor alone, unless all was built before.
compare: $(if $(wildcard $(VENV)/installed),build,$(VENV)/native)
	$(BIN)/rosetta compare alexnet --input photos --batch 128 --passes forward,backward,update --out $(RUNS)/alexnet

# Three files of tests at a time, since some wait; more where a machine has the cores and the memory: make test TEST_WORKERS=8.
TEST_WORKERS ?= 3
test: build
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile

# What the tests of pages need besides Chromium and its driver.
browser: build
	$(call install,['project']['optional-dependencies']['browser'])

# What the tests of sweeps need: dask.distributed and pyarrow, 210 MB.
sweep: build
	$(call install,['project']['optional-dependencies']['sweep'])

# Whether every file says whose it is and under which licence (REUSE.toml).
licences: $(VENV)/python
	$(PIP) install "reuse>=5"
	$(BIN)/reuse lint --quiet || $(BIN)/reuse lint

golden-check: build
	$(BIN)/rosetta check golden tests/golden

# Hostile input until something breaks: make fuzz FUZZ_SECONDS=3600 FUZZ_SEED=7, seconds for each fuzzer.
FUZZERS := entry_points layer_dictionaries layer_files archives records pickles weights silent
FUZZ_SECONDS ?= 60
FUZZ_SEED ?= 0
fuzz: build
	@for name in $(FUZZERS); do echo $$name; \
	$(BIN)/python -m tests.fuzz.$$name --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED) || exit 1; done

# Seconds of a training step, layer by layer, engines interleaved.
bench: build
	$(BIN)/rosetta bench alexnet

# Every kernel instance through nvcc for sm_75, sm_80 and sm_90, against the table of registers. Needs no GPU.
cuda-check: build
	$(BIN)/python -m pytest tests/legacy/test_nvcc_all.py -m nvcc_all

# Writes that table anew, after a kernel has changed.
cuda-table: build
	$(BIN)/python -m alexnet_rosetta.legacy.gpu.resources

# Wheels for a GPU machine without network: PyCUDA is built here, against a stand-in for the driver. Needs the CUDA
# toolkit and a Python 3.12 (ROSETTA_GPU_PYTHON names one). The bundle packs them with this project and a launcher.
gpu-wheels: build
	$(BIN)/python -m tools.gpu_bundle wheels

gpu-bundle: build
	$(BIN)/python -m tools.gpu_bundle bundle

lint: export PATH := $(CURDIR)/$(BIN):$(PATH)
lint: $(VENV)/python
	$(call install,['project']['optional-dependencies']['dev'])
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cython-lint legacy port harness --max-line-length 120
	$(BIN)/clang-format --dry-run --Werror legacy/host/*.cpp legacy/host/*.h

docs: build
	$(call install,['project']['optional-dependencies']['docs'])
	$(BIN)/sphinx-build --fail-on-warning --keep-going -b html docs docs/_build/html
	$(BIN)/python -m tools.site docs/_build/html   # every link leads somewhere, nothing is fetched

# The report and the page of a layer on the front page of the guide; needs chromium and a machine that does nothing else.
SHOT = chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1200,1500 --virtual-time-budget=4000
picture: build
	$(BIN)/rosetta compare alexnet --batch 32 --out $(RUNS)/picture
	$(BIN)/rosetta study alexnet conv2a --record $(RUNS)/picture --html $(RUNS)/picture-study
	$(SHOT) --screenshot=docs/report.png file://$(abspath $(RUNS))/picture/report.html
	$(SHOT) --screenshot=docs/layer.png file://$(abspath $(RUNS))/picture-study/layer-00-conv2a.html

# The kernel tests under the address and undefined-behaviour sanitizers (strict module, own build folder).
sanitize: sanitized
	$(SANITIZED) -m pytest tests/legacy tests/fuzz/test_entry_points.py tests/harness/checks/test_golden.py -m "not nvcc and not slow" -p no:cacheprovider

# Bent layer files that are accepted, trained two steps in both engines under the sanitizers.
TRAINED_NETS ?= 200
fuzz-trained: sanitized
	$(SANITIZED) -m tests.fuzz.trained_nets --count $(TRAINED_NETS) --seed $(FUZZ_SEED)

SANITIZED = LD_PRELOAD="$$($${CXX:-g++} -print-file-name=libasan.so) $$($${CXX:-g++} -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0:max_allocation_size_mb=1536:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 ROSETTA_ISA=strict \
	PYTHONPATH=$$(echo build/sanitize/lib.*) $(BIN)/python
sanitized: build
	ROSETTA_SANITIZE=1 ROSETTA_BUILD=_strict,port $(BIN)/python setup.py --quiet build --build-base build/sanitize

# The same sources for a machine that is no x86-64 and a compiler without OpenMP, as far as that shows here.
portable: build
	CXX=$${CXX:-g++} ROSETTA_PORTABLE=1 ROSETTA_OPENMP=0 $(BIN)/python setup.py --quiet build --build-base build/portable
	ROSETTA_ISA=baseline PYTHONPATH=$$(echo build/portable/lib.*) $(BIN)/python -m pytest tests/legacy tests/harness/checks/test_golden.py \
	-m "not nvcc and not slow" -p no:cacheprovider

# The archive of the sources, a wheel from it (strict and this processor's instruction set), installed into an empty
# environment and run in another folder. Both are fit for an index, and the wheel holds its licences.
archive-check: $(VENV)/python
	rm -rf build/archive
	$(BIN)/python setup.py --quiet sdist --dist-dir build/archive
	tar -xzf build/archive/alexnet_rosetta-*.tar.gz -C build/archive
	ROSETTA_BUILD=strict,native,port $(PIP) wheel --no-deps --wheel-dir build/archive ./build/archive/alexnet_rosetta-*/
	$(PIP) install "twine>=6"
	$(BIN)/twine check --strict build/archive/*.tar.gz build/archive/*.whl
	$(BIN)/python -m zipfile --list build/archive/alexnet_rosetta-*.whl | grep -c 'licenses/.*\(LICENSE\|BSD-2-Clause\|CC0-1.0\|public-domain\)' | grep -qx 4
	$(PYTHON) -m venv build/archive/env
	build/archive/env/bin/pip install --quiet --disable-pip-version-check build/archive/*.whl
	cd build/archive && env/bin/rosetta --version && env/bin/rosetta compare tiny --batch 8 && env/bin/rosetta check golden ../../tests/golden

clean:
	rm -rf build docs/_build $(VENV) harness/commit.txt legacy/*.so port/*.so harness/judging/*.so legacy/_legacy_*.cpp port/_*.cpp *.egg-info
