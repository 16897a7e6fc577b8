# Autoscale. "make" alone prints the targets.
SHELL := bash
.DEFAULT_GOAL := help

# fuzztime is how long each fuzz target runs under "make fuzz".
fuzztime ?= 10m

.PHONY: help build image check test test-all bench fuzz soak dist deb test-packages dist-twice demo demo-docker picture cluster

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

test-all: ## test, and the long fault tables, both Compose versions, fuzz seeds, two equal builds, benchmarks
	build/check
	go test -race -count=1 ./...
	cd cmd/autoscale-adapter && CGO_ENABLED=0 go test -count=1 ./...
	AUTOSCALE_E2E=all e2e/run
	$(MAKE) soak
	$(MAKE) fuzz fuzztime=30s
	build/dist-twice
	$(MAKE) bench

bench: ## benchmarks against the field's libraries, as ratios of one run
	cd bench && go test -run '^$$' -bench . -benchtime 1s ./...
	go test -run '^$$' -bench . -benchtime 1s ./...

soak: ## a simulated day of the daemon's life with -race (half an hour)
	AUTOSCALE_SOAK=24h go test -race -count=1 -timeout 2h -v -run '^TestSoak$$' ./cmd/autoscale

fuzz: ## every fuzz target for fuzztime each
	build/fuzz $(fuzztime)

dist: ## static archives for linux and darwin on amd64 and arm64, with SBOMs and checksums, in dist/
	build/dist

deb: dist ## Debian packages of them, in dist/
	build/deb

test-packages: ## the Debian package installed, upgraded and purged in a chroot (needs root and mmdebstrap)
	build/deb-try

dist-twice: ## proof that two builds of one commit give the same bytes (an empty cache: a quarter of an hour)
	build/dist-twice

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
