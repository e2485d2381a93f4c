# The front door of nexus. Bazel does the work (.bazelrc, BUILD.bazel files); each target here sets up the machine
# first (tools/setup.sh: Debian packages), so that `make run` and `make test` work on a bare Debian 12.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

SECONDS := 30
SEEDS := 2000
FIRST := 1
HOSTS := 100
TICKS := 4320
SEED := 42
REPETITIONS := 3
PEERS :=
THRESHOLD := 1.15
PREFIX := /usr/local
LIBDIR = $(PREFIX)/lib
DESTDIR :=

# Bazel's moving progress line is for terminals only.
BAZEL := bazel
QUIET := $(shell [ -t 2 ] || echo --noshow_progress)

# Real recordings that some tests read if they are there; a test without them says so. Never part of the build.
SHARED := $(wildcard $(abspath ../shared))
# In CI each commit is tried with seeds of its own.
SEED_OF_COMMIT := $(if $(CI),$(shell printf '%d' "0x0$$(git rev-parse --short=8 HEAD 2>/dev/null)"))
RUN_BENCH := $(BAZEL) run $(QUIET) --ui_event_filters=-info --noshow_loading_progress --config=release
TEST := $(BAZEL) test --keep_going $(QUIET) $(if $(SEED_OF_COMMIT),--test_env=NEXUS_FIRST_SEED=$(SEED_OF_COMMIT)) $(if $(SHARED),--test_env=NEXUS_SHARED=$(SHARED)) --test_tag_filters=-manual,-soak

.PHONY: help setup build test test-posix run lint lint-all format asan tsan fuzz sim soak bench bench-micro bench-peers bench-diff profile install

help:  ## this list
	@echo "make TARGET, where TARGET is one of:"
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

setup:  ## install what is missing of the Debian packages (root or sudo)
	@tools/setup.sh

build: setup  ## release build: bin/nexus and bin/nexus-sim
	@$(BAZEL) build $(QUIET) --config=release //server:nexus //tests/sim:nexus-sim
	@mkdir -p bin
	@out=$$($(BAZEL) info --config=release bazel-bin 2>/dev/null); \
	ln -sfn "$$out/server/nexus" bin/nexus; \
	ln -sfn "$$out/tests/sim/nexus-sim" bin/nexus-sim

test: setup  ## every test but those tagged manual or soak, with a verdict for each
	@$(TEST) //...

test-posix: setup  ## the same without io_uring: threads and epoll
	@$(TEST) --test_env=NEXUS_IO=posix //...

run: build  ## serve a database that records this machine, and show live what is stored
	@tools/run.sh

lint: setup  ## all checks of the sources; clang-tidy on changed files
	@tools/lint.py

lint-all: setup  ## the same with clang-tidy on every file
	@tools/lint.py --all

format: setup  ## rewrite C++ sources in the house format
	@tools/lint.py --format

asan: setup  ## every test with the address and undefined-behaviour sanitizers
	@$(TEST),-unsanitized --build_tests_only --config=asan //...

tsan: setup  ## every test with the thread sanitizer
	@$(TEST),-unsanitized --build_tests_only --config=tsan //...

fuzz: setup  ## each fuzz target for SECONDS=30, starting from its corpus
	@BAZEL="$(BAZEL)" tools/fuzz.sh $(SECONDS)

sim: build  ## SEEDS=2000 runs of the simulator, from seed FIRST=1
	@tools/sim.sh $(FIRST) $(SEEDS)

soak: build  ## the release server under kill -9 and on full disks for SECONDS=30, judged by the simulator's oracle
	@$(BAZEL) build $(QUIET) --config=release //tests/kill_loop:nexus-soak
	@NEXUS_BINARY="$(CURDIR)/bin/nexus" "$$($(BAZEL) info --config=release bazel-bin 2>/dev/null)/tests/kill_loop/nexus-soak" \
	  all --seconds $(SECONDS) --backends uring,posix

bench: build  ## the benchmarks, as a release build; prints tables of the engine, of appends beside compaction, of the server
	@$(RUN_BENCH) //bench
	@$(RUN_BENCH) //bench/engine:compaction_ingest_bench
	@$(RUN_BENCH) //bench:server_bench -- --nexus "$(CURDIR)/bin/nexus"

bench-micro: setup  ## codecs, checksums, parser, merge, look-ups and log commits, one by one (Google Benchmark)
	@for bench in base:checksum_bench layer:codec_bench server:parser_bench engine:query_bench engine:memtable_bench \
	    catalog:lookup_bench wal:commit_bench; do \
	  $(RUN_BENCH) //bench/$$bench; \
	done

bench-peers: build  ## nexus and its peers, same data, one run: PEERS=a,b HOSTS=100 TICKS=4320 SEED=42 REPETITIONS=3
	@bench/peers/run.py --hosts $(HOSTS) --ticks $(TICKS) --seed $(SEED) --repetitions $(REPETITIONS) \
	  $(if $(PEERS),--peers $(PEERS)) $(if $(SHARED),--recordings $(SHARED)/data/nab)

bench-diff:  ## results of nexus on two commits, A=commit B=commit; fails where B is worse by THRESHOLD=1.15
	@bench/peers/diff.py "$(A)" "$(B)" --threshold $(THRESHOLD)

profile: setup  ## flame graphs of ingest and queries in .cache/profile/, and allocations, over SECONDS=30 each
	@$(BAZEL) build $(QUIET) --config=release //bench/profile:profiled_work
	@bench/profile/profile.sh "$$($(BAZEL) info --config=release bazel-bin 2>/dev/null)/bench/profile/profiled_work" $(SECONDS)

install: build  ## the command, libraries and headers to PREFIX=/usr/local (LIBDIR=, DESTDIR= for packagers)
	@$(BAZEL) build $(QUIET) --config=library //tools/install
	@out=$$($(BAZEL) info --config=library bazel-bin 2>/dev/null); \
	DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" LIBDIR="$(LIBDIR)" tools/install/install.sh "$$out/tools/install" bin/nexus
