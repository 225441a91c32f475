# make run    start the example stack in the foreground
# make test   run the tests
# Both make .venv from nothing if need be; Python 3.11 or later is looked for.

VENV := .venv

.PHONY: run test lint docs webstack clean

# Ctrl-C is meant for the supervisor, which then stops everything and exits
# with 0; make would report an error if it got the signal too.  Hence in the
# foreground of a terminal the supervisor gets a process group of its own, by
# job control.  Ctrl-Z would stop it where no shell can continue it.
run: .venv/run
	@read -r pid name state parent group session terminal foreground rest </proc/$$$$/stat; \
	if [ "$$group" = "$$foreground" ]; then trap '' TSTP; set -m; fi; \
	cd docs/examples/hello && "$(CURDIR)/$(VENV)/bin/twistd" -n circus -c stack.ini; exit $$?

webstack: .venv/webstack
	@read -r pid name state parent group session terminal foreground rest </proc/$$$$/stat; \
	if [ "$$group" = "$$foreground" ]; then trap '' TSTP; set -m; fi; \
	cd docs/examples/webstack && "$(CURDIR)/$(VENV)/bin/twistd" -n circus -c stack.ini; exit $$?

test: .venv/test
	$(VENV)/bin/python -m twisted.trial tests

lint: .venv/lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

docs: .venv/docs
	$(VENV)/bin/python -m sphinx -q -W -b html docs docs/_build/html
	$(VENV)/bin/pydoctor
	$(VENV)/bin/click-man --target docs/_build/man circustwist >/dev/null

clean:
	rm -rf .venv build dist docs/_build _trial_temp* .mypy_cache .ruff_cache .hypothesis *.egg-info
	find circustwist twisted tests docs -name __pycache__ -prune -exec rm -rf {} +
	rm -f twisted/plugins/dropin.cache

# The virtual environment.  Its stamps say what is installed in it.

.venv/made:
	@for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "making .venv with $$($$python --version)"; \
	        $$python -m venv --clear .venv && touch $@; exit; \
	    fi; \
	done; \
	echo "circustwist needs Python 3.11 or later, and none is on the PATH" >&2; exit 1

.venv/run: .venv/made setup.py pyproject.toml
	@echo "installing circustwist into .venv"
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

.venv/test .venv/lint .venv/docs .venv/webstack: .venv/%: .venv/run
	@echo "installing what $* needs into .venv"
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check -e '.[$*]'
	@touch $@
