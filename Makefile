# Everything a newcomer needs: git, make, Python 3.11 to 3.14, a package index.
VENV ?= .venv
PYTHON ?=
RUN = '$(VENV)/bin/python'

.PHONY: help setup test test-slow test-all demo lint docs gpu-wheels gpu-check

help:
	@echo 'make setup    make $(VENV) with the tested set, or repair it'
	@echo 'make test     setup, then the tests to run while working (minutes)'
	@echo 'make test-all the same, then all families, several processes, fuzzing'
	@echo 'make demo     setup, then train on the digits, sum the run up, write its report'
	@echo 'make lint     setup, then check style and format'
	@echo 'make docs     setup, then the documentation as a site in build/site'
	@echo 'make gpu-wheels  setup, then collect in .whl/ what a GPU machine without an index lacks'
	@echo 'make gpu-check  setup, then every figure of a GPU (8 minutes)'
	@echo 'VENV=folder and PYTHON=interpreter override the choices'

setup:
	@sh dev/make_env.sh '$(VENV)' '$(PYTHON)'

test: setup
	$(RUN) -m pytest -n auto -m 'not slow'

test-slow: setup
	$(RUN) -m pytest -n auto -m slow

# One after the other, also with make -j.
test-all: test
	@$(MAKE) test-slow

demo: setup
	$(RUN) tools/train.py configs/rg_sngan_digits_35.py
	$(RUN) tools/analysis/summary.py work_dirs/rg_sngan_digits_35
	$(RUN) tools/analysis/report.py work_dirs/rg_sngan_digits_35

lint: setup
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

docs: setup
	$(RUN) -m pip install --disable-pip-version-check --quiet -r requirements/docs.txt
	$(RUN) -m mkdocs build --strict

gpu-wheels: setup
	@sh dev/gpu_wheels.sh '$(VENV)/bin/python'

gpu-check: setup
	$(RUN) dev/gpu_check.py
