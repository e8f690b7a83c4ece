# Every target sets up by itself what it needs, in a virtual environment of this folder:
# with uv where there is one, else with venv and pip. A second run finds it ready.
#
#   make test PYTHON=python3.12 VENV=.venv-3.12     another interpreter, beside the usual one
#   make test ARGS="-k retry -x"                    more arguments for pytest
#   make test UV=                                   leave uv alone

VENV   ?= .venv
PYTHON ?=
ARGS   ?=
BIN    := $(VENV)/bin
ifeq ($(origin UV),undefined)
UV     := $(shell command -v uv 2>/dev/null)
endif

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test exhaustive check docs audit format chaos bench growth wide soak clean FORCE

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.ready-demo ## run examples/basic.py with a PostgreSQL of its own
	@$(BIN)/python examples/basic.py

test: $(VENV)/.ready-dev ## run the tests
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n auto $(ARGS)

exhaustive: $(VENV)/.ready-dev ## run the tests that take longer and find little more
	@$(BIN)/python -m pytest -n auto -m exhaustive $(ARGS)

check: $(VENV)/.ready-dev ## lint, formatting, types, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

docs: $(VENV)/.ready-docs ## build the docs site; warnings are errors
	@$(BIN)/sphinx-build -c docs --fresh-env --fail-on-warning --keep-going --quiet -d build/doctrees . build/docs
	@echo "build/docs/index.html; to serve it: $(BIN)/python -m http.server --directory build/docs"

audit: $(VENV)/.ready-dev ## compare the pinned versions with published vulnerabilities (needs the network)
	@test -x $(VENV)-audit/bin/pip-audit || { $(BIN)/python -m venv --clear $(VENV)-audit && \
		$(VENV)-audit/bin/python -m pip install --quiet pip-audit; }
	@$(VENV)-audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip $(ARGS)

format: $(VENV)/.ready-dev ## put the code into its form
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

chaos: $(VENV)/.ready-dev ## kill, stop, cut off and restart everything, for MINUTES=… (SEED=…)
	@$(BIN)/python -m tests.chaos $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(ARGS)

bench: $(VENV)/.ready-bench ## measure, beside others, in four to eight minutes; ARGS=--help says more
	@$(BIN)/python -m tests.benchmarks $(ARGS)

growth: $(VENV)/.ready-dev ## measure how costs grow with what is in the database; ARGS=--help says more
	@$(BIN)/python -m tests.benchmarks.growth $(ARGS)

wide: $(VENV)/.ready-dev ## measure graphs of other sizes, and many who wait; ARGS=--help says more
	@$(BIN)/python -m tests.benchmarks.wide $(ARGS)

soak: $(VENV)/.ready-dev ## steady load for MINUTES=10: does anything creep up?
	@$(BIN)/python -m tests.benchmarks.soak $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

clean: ## remove the virtual environment, caches, builds and the data of examples
	@rm -rf $(VENV) $(VENV)-audit build dist examples/.data .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the virtual environment ---
#
# A stamp says that a set of extras is installed as pyproject.toml and constraints.txt have it now.
# The file "whole" says that the environment itself was finished, and in which folder: one that was
# interrupted, moved, or made by a Python that is gone (or not the one asked for) is made anew.

define IS_WHOLE
test "$$(cat $(VENV)/whole 2>/dev/null)" = "$$(pwd -P)" && test ! -e $(VENV)/unfinished &&
$(BIN)/python -c '' 2>/dev/null && { test -n "$(UV)" || $(BIN)/python -c 'import pip' 2>/dev/null; } &&
{ test -z "$(PYTHON)" || test "$$($(BIN)/python -VV)" = "$$($(PYTHON) -VV 2>&1)"; }
endef
WHOLE := $(shell $(IS_WHOLE) && echo yes)

$(VENV)/.ready-demo: pyproject.toml constraints.txt $(if $(WHOLE),,FORCE)
	@sh -c "$$SETUP" setup demo embedded

$(VENV)/.ready-bench: pyproject.toml constraints.txt $(if $(WHOLE),,FORCE)
	@sh -c "$$SETUP" setup bench bench

$(VENV)/.ready-docs: pyproject.toml constraints.txt $(if $(WHOLE),,FORCE)
	@sh -c "$$SETUP" setup docs docs

$(VENV)/.ready-dev: pyproject.toml constraints.txt $(if $(WHOLE),,FORCE)
	@sh -c "$$SETUP" setup dev dev

define SETUP
set -eu
unset VIRTUAL_ENV PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET
venv='$(VENV)' uv='$(UV)' asked='$(PYTHON)' set=$$1 extras=$$2
with=$${uv:+uv}; with=$${with:-pip}
log=$$(mktemp)
trap 'rm -f "$$log"' EXIT
trap 'exit 130' INT TERM

fail() {
    tail -n 25 "$$log" >&2
    printf '%s\n' "$$@" >&2
    exit 1
}

is_whole() {
    $(IS_WHOLE)
}

# A name on the PATH may belong to a stand-in that does nothing but complain: ask who answers.
behind() {
    command -v "$$1" >/dev/null || return 0
    "$$1" -c 'import sys, venv; sys.version_info >= (3, 11) and print(sys.executable)' 2>>"$$log" || true
}

pip_by_hand() { # for a Python without ensurepip: lend the new environment a pip from elsewhere
    for pip in "$$1 -m pip" pip3 pip; do
        $$pip --python "$$venv/bin/python" install pip && return
    done
    for wheel in /usr/share/python-wheels/pip-*.whl; do
        PYTHONPATH=$$wheel "$$venv/bin/python" -m pip install pip && return
    done
    return 1
}

make_venv() { # with the interpreter $$1
    rm -rf "$$venv" || fail "$$venv is not yours to replace. Use another one: make VENV=/another/folder"
    if [ -n "$$uv" ]; then
        "$$uv" venv --python "$$1" "$$venv"
    elif ! "$$1" -m venv "$$venv"; then
        rm -rf "$$venv"
        "$$1" -m venv --without-pip "$$venv" && pip_by_hand "$$1"
    fi >>"$$log" 2>&1
}

first_that_works() {
    for name in $${asked:-python3.13 python3.12 python3.11 python3}; do
        python=$$(behind "$$name")
        if [ -n "$$python" ] && make_venv "$$python"; then return; fi
    done
    if [ -z "$$asked" ] && [ -n "$$uv" ] && make_venv '>=3.11'; then return; fi
    fail "No Python of at least 3.11 here can make a virtual environment$${asked:+ (asked for: $$asked)}." \
        "Install Python with its venv module (Debian, Ubuntu: python3-venv), or uv, or name one: make PYTHON=/path/to/python"
}

# Two at a time would trip over each other. The second one finds the work done.
if command -v flock >/dev/null; then
    exec 9<constraints.txt
    flock 9
    if [ "$$venv/.ready-$$set" -nt pyproject.toml ] && [ "$$venv/.ready-$$set" -nt constraints.txt ] &&
        [ "$$venv/.ready-$$set" -nt "$$log" ]; then exit; fi
fi

echo "Setting up $$venv with $$with: once, and again when pyproject.toml or constraints.txt change."
if [ -n "$$uv" ] && ! (mkdir -p "$$("$$uv" cache dir)" && test -w "$$("$$uv" cache dir)") 2>/dev/null; then
    export UV_NO_CACHE=1 # a user without a home
fi
is_whole || first_that_works

touch "$$venv/unfinished"
if [ -n "$$uv" ]; then
    "$$uv" pip install --python "$$venv/bin/python" -c constraints.txt -e ".[$$extras]"
else
    "$$venv/bin/python" -m pip install -c constraints.txt -e ".[$$extras]"
fi >>"$$log" 2>&1 || fail "The packages could not be installed into $$venv."
pwd -P >"$$venv/whole"
rm "$$venv/unfinished"
if [ "$$set" = dev ]; then touch "$$venv/.ready-demo"; fi
touch "$$venv/.ready-$$set"
endef
export SETUP
