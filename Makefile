# Everything lives in .venv, made from pyproject.toml and the versions in constraints.txt.
# Another interpreter: make PYTHON=python3.12 test (after make clean).
PYTHON ?= python3
BIN := .venv/bin
# Images of containers set it; hundreds of processes that compile every module anew take minutes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test bench lint vendor clean

help:
	@echo "make run    the default suite over PyTorch, TensorFlow and JAX; writes out/report.html"
	@echo "make test   all tests"
	@echo "make bench  what it costs, as ratios"
	@echo "make lint   ruff; mypy and import-linter on the built wheel"
	@echo "make vendor the bundle of Vega-Lite that HTML reports inline; needs npm"
	@echo "make clean  removes .venv and everything that was made"

.venv/.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[torch,tensorflow,jax,dev]" -c constraints.txt
	touch $@

# Exits with 0 when the run itself went well, whatever it found.
run: .venv/.stamp
	@mkdir -p out
	@rm -f out/run.logitmus out/run.logitmus-wal out/run.logitmus-shm
	$(BIN)/logitmus run --backend torch --backend tensorflow --backend jax --backend numpy \
		--out out/run.logitmus --html out/report.html --fail-on never
	@echo "Open $(CURDIR)/out/report.html in a browser."

# One run, so that pytest's closing line tells of all; tests/conftest.py puts the fast ones first. Most tests wait for
# workers of their own: more processes than a few would only get into each other's way.
test: .venv/.stamp
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

bench: .venv/.stamp
	$(BIN)/python tests/bench

# Neither mypy nor import-linter follows the folders' mapping of an editable install: both check the built wheel.
lint: .venv/.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build out/typed && mkdir -p out/typed
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir out/typed .
	$(BIN)/python -m zipfile -e out/typed/*.whl out/typed
	rm out/typed/*.whl
	cd out/typed && MYPYPATH=. ../../$(BIN)/mypy --config-file ../../pyproject.toml -p logitmus
	cd out/typed && PYTHONPATH=. ../../$(BIN)/lint-imports ../../pyproject.toml --no-cache --no-logo

# The versions are in package.json, the licences of all that is bundled in LICENSES.txt.
vendor:
	mkdir -p build/vendor
	cp reports/html/vendor/*.js* reports/html/vendor/*.mjs build/vendor
	cd build/vendor && npm install --no-audit --no-fund --no-package-lock
	cd build/vendor && npx esbuild entry.js --bundle --minify --format=iife --global-name=plotting --target=es2022 \
		--charset=ascii --legal-comments=none --metafile=meta.json --outfile=vega.min.js
	cd build/vendor && node licences.mjs meta.json > LICENSES.txt
	cp build/vendor/vega.min.js build/vendor/LICENSES.txt reports/html/vendor

clean:
	rm -rf .venv build out *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
