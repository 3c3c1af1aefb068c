# Bulkhead: the whole developer interface. `make help` lists it.
SHELL := /bin/bash
GO    ?= go
D     ?= 20s
T     ?= 5m
export CGO_ENABLED ?= 0
# What the compiler knows of the walk: which calls are hot. A tenth of a frame's time
# (docs/bench/README.md); PGO=off builds without.
PGO   ?= $(CURDIR)/bench/walk/walk.pgo

.DEFAULT_GOAL := help
.PHONY: help build test test-unit race attack fault soak simulate differential growth lint vet staticcheck vuln fuzz fuzz-all fuzz-smoke bench report profile compare demo smoke deps install clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## the five binaries, into bin/
	$(GO) build -trimpath -pgo=$(PGO) -o bin/ ./policyc ./bench/cmd/vsbench ./vswitch/cmd/vsctl ./vswitch/cmd/vswitchd ./vswitch/cmd/vswitch-agent

test: deps lint ## everything a change must pass: lint, all tests with the race detector (root tests as root), two minutes of soak, fuzz-smoke
	$(GO) test ./bench/classbench
	CGO_ENABLED=1 $(GO) test -race -timeout 20m ./...
	$(MAKE) soak T=2m
	$(MAKE) fuzz-smoke D=10s

test-unit: ## all tests once, quickly, without the race detector
	$(GO) test ./...

race: ## all tests with the race detector
	CGO_ENABLED=1 $(GO) test -race -timeout 20m ./...

attack: deps ## a workload turned hostile, against the daemon on real devices: what was sent, what got through (root)
	BULKHEAD_LONG=1 $(GO) test -v -count=1 -timeout 100m -run '^TestAttack' ./vswitch

fault: deps ## the switch under faults, on real devices: what was done to it, what its neighbours lost, what leaked (root)
	BULKHEAD_LONG=1 $(GO) test -v -count=1 -timeout 120m -run '^TestFault' ./vswitch
	BULKHEAD_LONG=1 $(GO) test -v -count=1 -timeout 60m -run '^TestFault' ./vswitch/port/xdp
	$(GO) test -v -count=1 -timeout 60m -run '^Test(Scripts|Store|ManyDeletions|Begins)' ./vswitch/agent/...

soak: deps ## the daemon for T, an hour or a night, with traffic, floods, changes and kills: flat, or it fails (root)
	BULKHEAD_SOAK=$(T) $(GO) test -v -count=1 -timeout 0 -run '^TestSoak' ./vswitch

simulate: ## the whole daemon in one process, by seeds, for D: steps and faults at random, each outcome held against a model
	$(GO) test -v -count=1 -timeout 0 -run '^TestSimulation$$' ./vswitch -simulate $(D) -first $$(date +%s)00

differential: deps ## a policy's meaning by eval, tables, switch and kernel, a million questions, up to 70,000 rules (root)
	BULKHEAD_LONG=1 $(GO) test -v -count=1 -timeout 60m ./policyc/internal/oracle

growth: ## what a build takes of time and memory from 1,000 to 100,000 rules, into docs/growth.svg
	BULKHEAD_PLOT=$(CURDIR)/docs/growth.svg $(GO) test -v -count=1 -timeout 30m -run TestGrowth ./policyc/compile

lint: vet staticcheck ## gofmt, go vet, staticcheck, import table
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "gofmt would change: $$out"; exit 1; }
	$(GO) test -run TestArchitecture ./dataplane

vet:
	$(GO) vet ./...

staticcheck:
	$(GO) tool staticcheck ./...

vuln: ## known vulnerabilities, where their database can be reached
	@$(GO) tool govulncheck ./... || { rc=$$?; echo "make vuln: govulncheck ended with $$rc; if it could not reach its database, nothing was checked"; exit $$rc; }

fuzz: ## one fuzz target: make fuzz T=FuzzParse D=1m (P=./vswitch/port/xdp)
	$(GO) test $(or $(P),./fuzz) -run '^$$' -fuzz '^$(T)$$' -fuzztime $(D) -fuzzminimizetime 10x

fuzz-all: ## every fuzz target of every package, D each, J=2 at a time
	GO=$(GO) fuzz/all.sh $(D) $(or $(J),2)

fuzz-smoke: ## every fuzz target: D (20s) each where a frame comes, 5 s each elsewhere, J=2 at a time
	GO=$(GO) fuzz/all.sh $(D) $(or $(J),2) 5s

bench: ## every Go benchmark once, then the walk's table
	$(GO) test -run '^$$' -bench . -benchtime 200ms -benchmem ./...
	$(GO) run ./bench/cmd/vsbench run walk

report: build ## vsbench run all, into docs/bench: the page, pictures, JSON (root, under half an hour, on an idle machine)
	bin/vsbench run all --dir docs/bench

profile: ## walk.pgo anew, by which build and install compile the walk (quiet machine; after changes of the walk)
	GODEBUG=asyncpreemptoff=1 $(GO) test ./bench/walk -run '^$$' -bench 'Workers/alone-1000$$' -benchtime 500000x -cpu 1 -cpuprofile $(CURDIR)/bench/walk/walk.pgo -o /dev/null

compare: ## benchmarks beside another revision: make compare BASE=main~1 P=./dataplane/... B=Find
	@bench/compare.sh $(or $(BASE),HEAD) $(or $(P),./dataplane/...) $(or $(B),.)

demo: deps build ## three-tier app in namespaces: who reaches whom and why (root, under a minute)
	examples/three-tier/run.sh

smoke: deps build ## the daemon on real devices (root)
	$(GO) test -count=1 -run 'Smoke' ./vswitch/... ./examples/...

deps: ## install what a bare Debian 12 with Go lacks (root; nothing to do otherwise)
	@./.ci/deps

install: ## go install the five binaries
	$(GO) install -trimpath -pgo=$(PGO) ./policyc ./bench/cmd/vsbench ./vswitch/cmd/vsctl ./vswitch/cmd/vswitchd ./vswitch/cmd/vswitch-agent

clean: ## remove what the build made
	rm -rf bin out
