# `make demo` and `make test` work on a bare machine: what is missing is fetched into target/tools (see .ci/fetch).
PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
# fish looks below /usr/local only if XDG_DATA_DIRS names it, and always in /etc/fish/completions.
FISH_COMPLETIONS ?= $(if $(filter /usr/local,$(PREFIX)),/etc/fish/completions,$(PREFIX)/share/fish/vendor_completions.d)

# Recursive on purpose: protoc is looked for when a target that builds needs it, not for `make help`.
PROTOC = $(or $(protoc),$(eval protoc := $(shell .ci/fetch protoc))$(protoc),$(error no protoc))
WITH_PROTOC = PROTOC="$(PROTOC)"

# The tests interrupt what they run. A shell without job control has what it starts in the background ignore that.
INTERRUPTIBLE = $(shell env --default-signal=INT,QUIT true 2>/dev/null && echo env --default-signal=INT,QUIT)

BENCH = $(WITH_PROTOC) .ci/bench

.PHONY: help demo test test-versions bench bench-report build install bless check clean-tools

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## build kvadm and tour it against a throw-away etcd
	@$(WITH_PROTOC) .ci/demo

test: ## run all the tests against a real etcd (KVADM_TEST_ETCD=SERVER to use your own)
	@test -n "$$KVADM_TEST_ETCD" || .ci/fetch etcd any >/dev/null
	$(WITH_PROTOC) $(INTERRUPTIBLE) $(CARGO) test

test-versions: ## run all the tests against each etcd from 3.4 to 3.7 that can be had
	@$(WITH_PROTOC) $(INTERRUPTIBLE) .ci/test-versions

bench: ## kvadm and etcdctl side by side (BENCH_KEYS=1000000 BENCH_ROUNDS=5 BENCH_CASES=get,list)
	@$(BENCH)

bench-report: ## the same, with the table kept in benches/RESULTS.md
	@BENCH_REPORT=benches/RESULTS.md $(BENCH)

build: ## build the release binary, target/release/kvadm
	$(WITH_PROTOC) $(CARGO) build --release

install: build ## install binary, man pages and completions under PREFIX (/usr/local)
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/share/man/man1" "$(DESTDIR)$(PREFIX)/share/man/man7"
	install -m 755 target/release/kvadm "$(DESTDIR)$(PREFIX)/bin/kvadm"
	install -m 644 man/*.1 "$(DESTDIR)$(PREFIX)/share/man/man1/"
	install -m 644 man/*.7 "$(DESTDIR)$(PREFIX)/share/man/man7/"
	install -d "$(DESTDIR)$(PREFIX)/share/bash-completion/completions" \
		"$(DESTDIR)$(PREFIX)/share/zsh/site-functions" "$(DESTDIR)$(FISH_COMPLETIONS)"
	install -m 644 completions/kvadm.bash "$(DESTDIR)$(PREFIX)/share/bash-completion/completions/kvadm"
	install -m 644 completions/_kvadm "$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_kvadm"
	install -m 644 completions/kvadm.fish "$(DESTDIR)$(FISH_COMPLETIONS)/kvadm.fish"

bless: ## regenerate man/ and completions/ from the command line's definition
	KVADM_BLESS=1 $(WITH_PROTOC) $(CARGO) test generated

check: ## format and lint, as .ci/run does
	$(CARGO) fmt --check
	$(WITH_PROTOC) $(CARGO) clippy --all-targets -- -D warnings

clean-tools: ## remove the fetched protoc and etcd
	rm -rf target/tools
