# `make demo` and `make test` work on a bare machine: missing tools are downloaded into target/tools (see .ci/fetch).
PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
# fish looks below /usr/local only if XDG_DATA_DIRS names it, and always in /etc/fish/completions.
FISH_COMPLETIONS ?= $(if $(filter /usr/local,$(PREFIX)),/etc/fish/completions,$(PREFIX)/share/fish/vendor_completions.d)

# The oldest Rust that builds kvadm: rust-version in Cargo.toml. Checked once, before anything is downloaded or built.
RUST_VERSION = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
RUST_OK = $(or $(rust_ok),$(eval rust_ok := $(shell .ci/rust-version "$(CARGO)" "$(RUST_VERSION)"))$(filter ok,$(rust_ok)),$(error Rust $(RUST_VERSION) or later is required: install or update it with rustup))

# Recursive on purpose: protoc is looked for when a target that builds needs it, not for `make help`.
PROTOC = $(if $(RUST_OK),$(or $(protoc),$(eval protoc := $(shell .ci/fetch protoc))$(protoc),$(error protoc is required and could not be downloaded)))
WITH_PROTOC = PROTOC="$(PROTOC)"

# The tests interrupt what they run. A shell without job control has what it starts in the background ignore that.
INTERRUPTIBLE = $(shell env --default-signal=INT,QUIT true 2>/dev/null && echo env --default-signal=INT,QUIT)

# Most tests wait for servers most of the time.
TEST_THREADS ?= $(shell echo $$(($$(nproc) + 1)))

BENCH = $(WITH_PROTOC) .ci/bench

.PHONY: help demo test test-versions soak bench bench-report scale counts counts-bless build install dist dist-check bless check clean-tools

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## build kvadm and run a tour against a temporary etcd
	@$(WITH_PROTOC) .ci/demo

test: ## run all tests against a real etcd (KVADM_TEST_ETCD=BINARY for another one)
	@test -n "$$KVADM_TEST_ETCD" || .ci/fetch etcd any >/dev/null
	@.ci/fetch readers >/dev/null
	$(WITH_PROTOC) RUST_TEST_THREADS=$(TEST_THREADS) $(INTERRUPTIBLE) timeout --foreground 60m $(CARGO) test --no-fail-fast

test-versions: ## run all tests against each available etcd from 3.4 to 3.7
	@$(WITH_PROTOC) $(INTERRUPTIBLE) .ci/test-versions

soak: ## guard 10000 commands with one lock, and mirror, under faults (SOAK_ACQUISITIONS=300 SOAK_CONTENDERS=4 SOAK_CUTS=500 SOAK_SEED=1)
	@test -n "$$KVADM_TEST_ETCD" || .ci/fetch etcd any >/dev/null
	$(WITH_PROTOC) $(INTERRUPTIBLE) $(CARGO) test --test kvadm -- --ignored --nocapture lock_soak:: mirror_faults::

bench: ## compare kvadm with etcdctl (BENCH_VERSIONS=3.5,3.6,3.7 BENCH_KEYS=1000000 BENCH_ROUNDS=5 BENCH_CASES=get,list)
	@$(BENCH)

bench-report: ## run the benchmark and write benches/RESULTS.md
	@BENCH_REPORT=benches/RESULTS.md $(BENCH)

scale: ## run kvadm on very many keys once and write benches/SCALE.md (SCALE_KEYS=10000000 SCALE_MINUTES=25)
	@SCALE_REPORT=$${SCALE_REPORT-benches/SCALE.md} $(BENCH) scale

counts: ## count instructions with valgrind and name what moved (COUNTS_RECORDS=100000 COUNTS_CASES=get,text)
	@$(WITH_PROTOC) .ci/counts release

counts-bless: ## count instructions and write benches/COUNTS.md
	@COUNTS_BLESS=1 $(WITH_PROTOC) .ci/counts release
	@COUNTS_BLESS=1 $(WITH_PROTOC) .ci/counts dev

build: ## build the release binary, target/release/kvadm
	$(WITH_PROTOC) $(CARGO) build --release

install: build ## install binary, man pages and completion scripts under PREFIX (/usr/local)
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/share/man/man1" \
		"$(DESTDIR)$(PREFIX)/share/man/man5" "$(DESTDIR)$(PREFIX)/share/man/man7"
	install -m 755 target/release/kvadm "$(DESTDIR)$(PREFIX)/bin/kvadm"
	install -m 644 man/*.1 "$(DESTDIR)$(PREFIX)/share/man/man1/"
	install -m 644 man/*.5 "$(DESTDIR)$(PREFIX)/share/man/man5/"
	install -m 644 man/*.7 "$(DESTDIR)$(PREFIX)/share/man/man7/"
	install -d "$(DESTDIR)$(PREFIX)/share/doc/kvadm/json-schema"
	install -m 644 docs/json-schema/*.json "$(DESTDIR)$(PREFIX)/share/doc/kvadm/json-schema/"
	install -d "$(DESTDIR)$(PREFIX)/share/bash-completion/completions" \
		"$(DESTDIR)$(PREFIX)/share/zsh/site-functions" "$(DESTDIR)$(FISH_COMPLETIONS)"
	install -m 644 completions/kvadm.bash "$(DESTDIR)$(PREFIX)/share/bash-completion/completions/kvadm"
	install -m 644 completions/_kvadm "$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_kvadm"
	install -m 644 completions/kvadm.fish "$(DESTDIR)$(FISH_COMPLETIONS)/kvadm.fish"

dist: ## build the release files in target/dist: tarball, Debian package, SBOM, SHA256SUMS
	@$(WITH_PROTOC) CARGO="$(CARGO)" DIST_MAINTAINER="$(DIST_MAINTAINER)" .ci/dist

dist-check: ## check the files in target/dist: contents, checksums, binaries, man pages, Debian package
	@.ci/dist-check

bless: ## regenerate man/, completions/, docs/json-schema/ and tests/snapshots/ from what kvadm says now
	@test -n "$$KVADM_TEST_ETCD" || .ci/fetch etcd any >/dev/null
	KVADM_BLESS=1 INSTA_UPDATE=always $(WITH_PROTOC) $(CARGO) test -- generated snapshots

check: ## check format and lint, as .ci/run does
	$(CARGO) fmt --check
	$(WITH_PROTOC) $(CARGO) clippy --all-targets -- -D warnings

clean-tools: ## remove the downloaded protoc and etcd
	rm -rf target/tools
