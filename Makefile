# berth: make help lists the targets. Two of them do all the set-up:
# `make run` shows a container, `make test` proves the rest.

GO         ?= go
PREFIX     ?= /usr/local
DESTDIR    ?=
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT     ?= $(shell git rev-parse --short=7 HEAD 2>/dev/null)
FUZZTIME   ?= 30s
TESTFLAGS  ?=
BENCHFLAGS ?=

export CGO_ENABLED := 0

PROGRAMS := berth berth-oci berth-registry berth-criu

LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
TOOL    := $(GO) tool -modfile=tools/go.mod

.DEFAULT_GOAL := build
.PHONY: help build run test test-vm conform lint fmt bench fuzz cover install clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' Makefile

build: ## static binaries bin/berth, bin/berth-oci, bin/berth-registry and bin/berth-criu
	@$(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/linked/ $(PROGRAMS:%=./cmd/%)
	@for p in $(PROGRAMS); do [ bin/$$p -nt bin/linked/$$p ] || test/place.sh bin/linked/$$p bin/$$p; done

run: build ## run a container on the machine's own root file system and show what it sees
	@test/look.sh bin/berth

test: ## install what the tests need (as root) and run every test
	@test/packages.sh test vm
	@$(GO) run ./test/report -count=1 -timeout 25m $(TESTFLAGS) ./...

test-vm: ## of these, the tests in virtual machines: cgroup v2 and v1, systemd, AppArmor
	@test/packages.sh test vm
	@$(GO) run ./test/report -count=1 -timeout 25m $(TESTFLAGS) ./test/vm

conform: ## run the OCI validation suite with berth-oci, runc and crun and write docs/conformance.md
	@test/packages.sh test
	@$(GO) run ./test/conform -write docs/conformance.md

lint: ## gofumpt, vet, staticcheck, govulncheck, arm64, import rules
	@test/lint.sh

fmt: ## rewrite the sources as gofumpt wants them
	@$(TOOL) gofumpt -l -w .

bench: build ## measure against the peers; BENCHFLAGS="-write docs/benchmarks.md" keeps the table
	@test/packages.sh bench
	@$(GO) run ./test/bench $(BENCHFLAGS)

fuzz: ## run every fuzz target for FUZZTIME (30s)
	@test/fuzz.sh $(FUZZTIME)

cover: ## run the tests with coverage and print the total of each package
	@mkdir -p bin/cover # for the processes that tests start of themselves
	@GOCOVERDIR=$(CURDIR)/bin/cover $(GO) test -count=1 -timeout 25m -coverprofile=bin/cover.out ./...
	@$(GO) tool cover -func=bin/cover.out | tail -1

install: build ## binaries, man pages and completions below $(DESTDIR)$(PREFIX)
	@test/install.sh '$(DESTDIR)$(PREFIX)'

clean: ## remove what the targets made
	rm -rf bin
