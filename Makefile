# What a developer runs by hand; .ci/run runs the same. `make` alone lists the targets.

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help build servers test demo demo-redshift soak bench fmt fmt-check lint doc check deploy-check

help:
	@echo 'make test     run all tests, against real servers'
	@echo 'make check    everything CI checks: format, lints, documentation, tests'
	@echo 'make build    build all tests'
	@echo 'make fmt      format the code'
	@echo 'make lint     run clippy; warnings are errors'
	@echo 'make doc      build the documentation; warnings are errors'
	@echo 'make demo     copy a live MySQL into a warehouse on this machine'
	@echo 'make demo-redshift   the same, into a stand-in of Amazon Redshift'
	@echo 'make soak     half an hour of load among servers that come and go (docs/soak.md)'
	@echo 'make bench    run the benchmarks'
	@echo 'make deploy-check   check images, units, charts and Terraform with their own tools, from PyPI'
	@echo 'make servers  fetch the servers that tests and the demo use (about 380 MB, once)'

# The servers go to a cache folder outside the clone; nothing is installed.
servers:
	$(CARGO) run --package tailwater-servers --bin fetch-servers

build:
	$(CARGO) test --workspace --no-run

# The servers are made ready by the program that the test build has made anyway, so that nothing is
# built twice, and before the tests, so that no test waits for the network.
test: build
	$(TARGET)/debug/fetch-servers
	CARGO='$(CARGO)' tests/run

demo:
	$(CARGO) build --workspace --bins
	$(TARGET)/debug/demo $(DEMO)

demo-redshift:
	$(MAKE) demo DEMO='--warehouse redshift $(DEMO)'

soak:
	$(CARGO) build --workspace --bins
	$(TARGET)/debug/soak $(SOAK)

bench:
	$(CARGO) bench --package tailwater

fmt:
	$(CARGO) fmt --all

fmt-check:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy --workspace --all-targets -- --deny warnings
	$(CARGO) check -p tailwater --features otel

# Tailwater is a program: its documentation is for those who change it, private items included.
doc:
	RUSTDOCFLAGS='--deny warnings --allow rustdoc::private_intra_doc_links' \
		$(CARGO) doc --workspace --no-deps --document-private-items

check: fmt-check lint doc test

# Not part of `check`: it needs Python and fetches tools of other languages.
deploy-check:
	python3 -m venv $(TARGET)/deploy-check
	$(TARGET)/deploy-check/bin/pip install --quiet --requirement deploy/check.requirements.txt
	$(TARGET)/deploy-check/bin/python deploy/check.py
