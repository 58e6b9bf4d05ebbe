# Two commands: `make demo` runs the whole pipeline on the embedded demo, `make test` runs the tests.

PYTHON ?= python3
# Where torch comes from: the CPU build. On a GPU machine: make demo TORCH_INDEX=https://download.pytorch.org/whl/cu130
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

VENV := .venv
BIN := $(VENV)/bin
# Python compiles what is imported, when it is; compiling all 23,000 files of the packages takes a minute. Where Python
# may not keep what it compiled, pip does it.
PIP_INSTALL := $(BIN)/pip install --quiet $(if $(PYTHONDONTWRITEBYTECODE),,--no-compile)
INSTALLED := $(VENV)/.installed
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup demo repro check ray remotes moto browser quick test types tests test-system ui bench evidence-real lock image chaos clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(INSTALLED)  ## virtual environment .venv with the locked dependencies

$(INSTALLED): requirements/lock.txt requirements/torch.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "stepsift needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V); try make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --no-deps -r requirements/lock.txt
	$(PIP_INSTALL) --retries 1 --timeout 20 --index-url $(TORCH_INDEX) -r requirements/torch.txt || \
	  { echo "$(TORCH_INDEX) gave no torch; taking it from pip's own index"; $(PIP_INSTALL) -r requirements/torch.txt; }
	$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	$(BIN)/pip check
	$(BIN)/stepsift setup
	@touch $@

demo: $(INSTALLED)  ## fill data/sources with the demo's traces if it is empty, then run the pipeline
	@mkdir -p data/sources data/tasks
	@if [ -z "$$(ls -A data/sources)" ]; then $(BIN)/python demo/make_sources.py --sources data/sources --tasks data/tasks; \
	  else echo "data/sources is not empty: running the pipeline on what is there"; fi
	$(BIN)/stepsift check
	$(BIN)/dvc repro

repro: $(INSTALLED)  ## check, then run what changed
	$(BIN)/stepsift check
	$(BIN)/dvc repro
	$(BIN)/stepsift report

SIDE_BY_SIDE := -n auto --maxprocesses 4

# Where it is set, each of the tests' processes would compile the library and the tests anew.
unexport PYTHONDONTWRITEBYTECODE

quick: $(INSTALLED)  ## before a commit: tests that load no model and start no process, within a minute
	$(BIN)/pytest --quick $(SIDE_BY_SIDE) --dist worksteal

test: $(INSTALLED)  ## lint, format, types, and all tests but those of the system
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory -j 2 types tests

# mypy has one process: the tests take what it leaves.
types: $(INSTALLED)
	$(BIN)/mypy

tests: $(INSTALLED)
	$(BIN)/pytest $(SIDE_BY_SIDE) --dist worksteal

ray: $(INSTALLED)  ## the extra `ray`: scoring on a cluster
	$(PIP_INSTALL) --no-deps -r requirements/ray.txt

remotes: $(INSTALLED)  ## the extra `remotes`: DVC over SSH and S3
	$(PIP_INSTALL) --no-deps -r requirements/remotes.txt

moto: remotes ray  ## the extra `moto`: a stand-in for S3, for a test
	$(PIP_INSTALL) --no-deps -r requirements/moto.txt

browser: $(INSTALLED)  ## the extra `browser`: drives Chromium, for a test of the report
	$(PIP_INSTALL) --no-deps -r requirements/browser.txt

test-system: moto browser  ## tests that are slow or need other software, the real `dvc repro` among them
	$(BIN)/pytest -m system -vv $(SIDE_BY_SIDE) --dist loadfile --no-loadscope-reorder

KILLS ?= 30
chaos: $(INSTALLED)  ## dvc repro killed KILLS times, out of disk, twice at once, cut off: the same bytes in the end
	$(BIN)/python -P tests/helpers/chaos.py --kills $(KILLS)

ui: $(INSTALLED)  ## MLflow in the browser
	$(BIN)/stepsift ui

bench: $(INSTALLED)  ## speed and memory, measured on this machine
	$(BIN)/python bench/segment.py
	$(BIN)/python bench/segment.py --workers 1 2
	$(BIN)/python bench/ingest.py
	$(BIN)/python bench/tables.py
	$(BIN)/python bench/warm.py
	$(BIN)/python bench/curate.py
	$(BIN)/python bench/train.py
	$(BIN)/python bench/evaluate.py
	$(BIN)/python bench/score.py --quick

STUDENT ?= smollm2 gemma3
SEEDS ?= 0 1
WORKERS ?= 1
PROMPTS ?= 300
EXAMPLES ?= 100
QUESTIONS ?= 100
FOLDER ?= .stepsift/evidence-real
evidence-real: $(INSTALLED)  ## audition with really pre-trained students from PyPI: STUDENT=smollm2 SEEDS="0 1" WORKERS=1 FOLDER=..
	$(BIN)/python demo/real_evidence.py --folder $(FOLDER) --students $(STUDENT) --seeds $(SEEDS) --workers $(WORKERS) \
	  --prompts $(PROMPTS) --examples $(EXAMPLES) --questions $(QUESTIONS)

lock: ## resolve the dependencies of pyproject.toml anew and pin them
	$(PYTHON) scripts/lock.py

ENGINE ?= docker
TARGET ?= cpu
image: $(INSTALLED)  ## the image in which score and train can run: ENGINE=docker|podman TARGET=cpu|cuda [BASE=..] [TORCH_INDEX=..]
	$(BIN)/python -P -m stepsift.container.image $(ENGINE) $(TARGET) $(if $(BASE),BASE=$(BASE)) \
	  $(if $(filter-out file,$(origin TORCH_INDEX)),TORCH_INDEX=$(TORCH_INDEX))

clean:  ## remove the virtual environment, the stages' outputs and the side caches (never sources, tasks, dvc.lock or runs)
	rm -rf $(VENV) .stepsift data/ingest data/segment data/score data/select data/train data/evaluate data/curves.json data/ranking.json data/accuracies.json report/index.html report/charts report/since.html metrics
