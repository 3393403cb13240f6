# Targets in a line each: `make help`. The environment lives in .venv and is made when first needed.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PY := .venv/bin/python
# A stamp that is newer than the lock says that the environment is complete.
STAMP := .venv/.complete

.PHONY: help env book test test-lab check lab paper assignments grade bench lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

env: $(STAMP) ## make the environment in .venv from the lock (done by the others when needed)

$(STAMP): requirements.lock pyproject.toml tools/setup.sh
	@sh tools/setup.sh

book: $(STAMP) ## execute the chapters and write the book; prints where its first page is
	@$(PY) tools/book.py build

test: $(STAMP) ## execute every chapter once, build the pages, run all tests
	@$(PY) tools/book.py build
	@$(PY) -m ruff check .
	@# The browser waits for itself most of the time: its tests run beside the others, not after them.
	@# Among them two chapters in JupyterLab, or more where their code changed; `make test-lab` tries all.
	@$(PY) -m pytest tests/browser -p no:cacheprovider >_build/browser-tests.log 2>&1 & pages=$$!; \
	  trap 'kill $$pages 2>/dev/null' INT TERM; \
	  $(PY) -m pytest tests --ignore=tests/browser; library=$$?; \
	  wait $$pages; browser=$$?; cat _build/browser-tests.log; \
	  exit $$(( library > browser ? library : browser ))

test-lab: $(STAMP) ## run chapters in a real JupyterLab and retrain their explorers (all, or CHAPTERS="1 6")
	@CHAPTERS="$(or $(CHAPTERS),all)" $(PY) -m pytest tests/browser/test_lab_chapters.py -v -p no:cacheprovider

check: $(STAMP) ## the two-minute subset for while you work: lint and tests without chapters and pages
	@$(PY) -m ruff check .
	@$(PY) tools/book.py check
	@$(PY) -m pytest tests -m "not browser and not slow"

lab: $(STAMP) ## open JupyterLab on the chapters
	@$(PY) -m jupyter lab book

paper: $(STAMP) ## repeat the papers at full scale, in every reading (hours; SMALL=1, CLAIM=name, SCHEDULER=address)
	@$(PY) -m experiments.paper $(if $(SMALL),--small) $(if $(CLAIM),--claim $(CLAIM)) \
	  $(if $(SCHEDULER),--scheduler $(SCHEDULER))

assignments: $(STAMP) ## the students' versions of the assignments, and a zip of each
	@$(PY) -m course release

grade: $(STAMP) ## grade SUBMISSIONS=folder (a folder a student): grades.csv, feedback, what went wrong
	@test -n "$(SUBMISSIONS)" || { echo "say which: make grade SUBMISSIONS=folder"; exit 1; }
	@$(PY) -m course grade "$(SUBMISSIONS)" $(if $(DEADLINE),--deadline $(DEADLINE)) $(if $(TRUSTED),--trusted)

bench: $(STAMP) ## measure the engines against their peers (builds the peers' environments)
	@$(PY) benchmarks/run.py

lock: ## resolve requirements.lock again (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: python -m pip install uv"; exit 1; }
	@uv pip compile pyproject.toml --extra book --extra dev --universal --python-version 3.10 \
	  --generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links --no-header \
	  --no-annotate --quiet --output-file requirements.lock

clean: ## remove what was built; the environment stays
	@rm -rf _build .pytest_cache .ruff_cache .hypothesis
