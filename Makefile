# The verbs of this repository; CONTRIBUTING.md says when to use which.
GOLANGCI_LINT ?= golangci-lint

.PHONY: check
check: vet lint test ## before every push

.PHONY: build
build: ## the binary
	CGO_ENABLED=0 go build -trimpath -o cq-source-servicenow .

.PHONY: test
test: ## every test
	go test ./...

.PHONY: race
race: ## every test as CI runs it
	go test -race -shuffle=on ./...

.PHONY: vet
vet:
	go vet ./...

.PHONY: lint
lint: ## golangci-lint 2.15
	$(GOLANGCI_LINT) run ./...

.PHONY: gen
gen: ## the JSON schema, then the pages made from it and from the tables
	go run ./client/spec/gen
	go run ./docs/gen

.PHONY: bench
bench: ## whole syncs, then the parts; docs/dev/benchmarks.md says how to read it, BENCH=-full takes a million incidents
	go run ./e2e/bench $(BENCH)
	go test -run '^$$' -bench . -benchmem ./internal/... ./plugin

.PHONY: ci
ci: ## everything that CI runs
	.ci/run

.PHONY: help
help:
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'
