# The short way to what .ci/run does in full.

.PHONY: help build test sim proto lint

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the program, ./swath
	CGO_ENABLED=0 go build -o swath .

test: ## run all tests
	go test ./...

SEEDS ?= 20000
sim: ## simulate SEEDS clusters that fail (20000 unless given)
	go test ./coordinator/dispatch -count=1 -run TestSimulation -sim.seeds $(SEEDS)

proto: ## lint the API and generate its code
	.ci/run proto

lint: ## gofmt, go vet and golangci-lint
	.ci/run format vet lint
