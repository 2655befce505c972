# The commands for people. The build itself is CMake's (CMakeLists.txt, CMakePresets.json).
#   make          build the program            make check   everything that is tested, from set-up on
#   make demo     install, build, run          make test    the fast tests          make help    all commands

BUILD ?= build/release
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 5
HOPSCOPE = $(BUILD)/hopscope

.PHONY: all deps deps-test deps-check demo test check check-interop check-page check-python bench results fuzz docs install uninstall clean help

all: $(BUILD)/build.ninja
	@cmake --build $(BUILD) -j $(JOBS)

$(BUILD)/build.ninja:
	@cmake -G Ninja -B $(BUILD) -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=$(PREFIX)

deps:
	@tools/install-deps.sh

deps-test:
	@tools/install-deps.sh test

deps-check:
	@tools/install-deps.sh check

## demo: install what is missing, build, train on the embedded graph, ask (3 minutes)
demo: deps
	@$(MAKE) --no-print-directory all
	@tools/demo.sh $(HOPSCOPE)

## test: install what is missing; the release build with its fast tests
test: deps-test
	@tools/check.sh fast

## check: install what is missing; release, sanitizer and fuzz builds with their tests
check: deps-check
	@tools/check.sh

## check-interop: against Python packages, where they are installed
check-interop: all
	@tests/interop/run $(HOPSCOPE) || { code=$$?; [ $$code = 77 ] && echo "check-interop: skipped" || exit $$code; }

## check-page: the page of hopscope report in Chromium (tools/install-deps.sh page; CI=true installs it)
check-page: all
	@[ "$${CI:-}" != true ] || tools/install-deps.sh page
	@tests/page/run $(HOPSCOPE) || { code=$$?; [ $$code = 77 ] && echo "check-page: skipped" || exit $$code; }

## check-python: the Python package in a clean virtual environment, and its notebook
check-python: all
	@[ "$${CI:-}" != true ] || tools/install-deps.sh python
	@python/tests/run $(HOPSCOPE) || { code=$$?; [ $$code = 77 ] && echo "check-python: skipped" || exit $$code; }

## bench: training steps against the GEMM roof and the same steps in PyTorch (BENCH_PYTHON names its interpreter)
BENCH_PYTHON ?= python3
bench: all
	@python3 bench/compare.py --program $(HOPSCOPE) --python $(BENCH_PYTHON)

## results: without NAME the names; NAME=five-regimes trains the plans of that page and writes its table (SET=KEY=VALUE, ARGS="-j 2")
NAME ?=
SET ?=
ARGS ?=
results: all
	@tools/results.py --program $(abspath $(HOPSCOPE)) $(NAME) $(addprefix --set ,$(SET)) $(ARGS)

## fuzz: every reader for FUZZ_SECONDS each on its corpus
fuzz:
	@tools/fuzz.sh $(FUZZ_SECONDS)

## docs: write docs/configuration.md from the configuration table
docs: all
	@$(HOPSCOPE) config --markdown > docs/configuration.md

## install: program, library, headers, man pages, completion under PREFIX (/usr/local); DESTDIR is put before it
install: all
	@cmake --install $(BUILD) --prefix $(abspath $(PREFIX))

## uninstall: remove them again (the same PREFIX and DESTDIR), and folders that installing made
uninstall:
	@cmake -DBUILD=$(BUILD) -DPREFIX=$(abspath $(PREFIX)) -P cmake/uninstall.cmake

## clean: remove all builds
clean:
	rm -rf build

help:
	@echo "make: build the program as $(HOPSCOPE)"
	@sed -n 's/^## /make /p' Makefile
