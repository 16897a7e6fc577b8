# Autoscale. "make" alone prints the targets.
SHELL := bash
.DEFAULT_GOAL := help

# fuzztime is how long each fuzz target runs under "make fuzz".
fuzztime ?= 10m

.PHONY: help build image check test test-all bench fuzz soak release demo demo-docker picture cluster

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/autoscale for this machine
	CGO_ENABLED=0 go build -trimpath -o bin/autoscale ./cmd/autoscale

image: ## autoscale-adapter:latest, the image of the Kubernetes adapter
	mkdir -p bin/image && cp deploy/kubernetes/Dockerfile bin/image/
	cd cmd/autoscale-adapter && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o ../../bin/image/autoscale-adapter .
	docker build -t autoscale-adapter:latest bin/image

check: ## format, vet, staticcheck, layers, tidiness
	build/check

test: ## check, unit tests with -race, and the product on a real Docker Engine (sets one up by itself)
	build/check
	go test -race ./...
	cd cmd/autoscale-adapter && CGO_ENABLED=0 go test ./...
	e2e/run

test-all: ## test, and the long fault tables, both Compose versions, fuzz seeds, benchmarks
	build/check
	go test -race -count=1 ./...
	cd cmd/autoscale-adapter && CGO_ENABLED=0 go test -count=1 ./...
	AUTOSCALE_E2E=all e2e/run
	$(MAKE) soak
	$(MAKE) fuzz fuzztime=30s
	$(MAKE) bench

bench: ## benchmarks against the field's libraries, as ratios of one run
	cd bench && go test -run '^$$' -bench . -benchtime 1s ./...
	go test -run '^$$' -bench . -benchtime 1s ./...

soak: ## a simulated day of the daemon's life with -race (half an hour)
	AUTOSCALE_SOAK=24h go test -race -count=1 -timeout 2h -v -run '^TestSoak$$' ./cmd/autoscale

fuzz: ## every fuzz target for fuzztime each
	build/fuzz $(fuzztime)

release: ## static archives for linux on amd64 and arm64, with checksums, in dist/
	build/release

demo: build ## see it at work on this machine, with nothing but Go
	@bin/autoscale demo

picture: ## the README's picture of the demo (needs tmux, aha and chromium)
	build/picture

demo-docker: ## the example project scaled on real Docker (a private engine where none runs)
	examples/compose/demo

cluster: ## a Kubernetes control plane of its own (the first time 5 to 15 minutes), with kubectl
	@e2e/cluster/cluster start >/dev/null
	@echo 'A control plane runs; its pods become Ready but run nothing. To use it:'
	@echo '  eval "$$(e2e/cluster/cluster env)" && kubectl get nodes'
	@echo 'To stop it and leave no trace:'
	@echo '  e2e/cluster/cluster stop'
