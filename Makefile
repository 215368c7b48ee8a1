# The two commands of the README are `make demo` and `make test`; CI calls the same targets.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.stamp
DAMAGENET := $(BIN)/damagenet
EXTRAS := backbone,browser,catalogue,completion,dask,decoders,docs,export,heif,inpaint,notebooks,ocr,provenance,serving,tensorboard,dev
DEMO := runs/demo
CONFIG ?= configs/reproduce.yaml

export NO_ALBUMENTATIONS_UPDATE := 1

.PHONY: setup demo reproduce web test test-slow check docs notebooks lab clean help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## the environment in .venv; costs nothing the second time

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or newer is needed: make setup PYTHON=python3.11'; exit 1; }
	$(PYTHON) -m venv .venv || { echo 'install the venv module, such as apt install python3-venv'; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $(STAMP)

demo: setup ## products to review.html on the project's own photos, about 8 minutes
	DAMAGENET_DATA= $(DAMAGENET) products --out $(DEMO)/products.parquet
	$(DAMAGENET) build configs/demo.yaml products.table=$(DEMO)/products.parquet --workers 2
	$(DAMAGENET) audit $(DEMO)/dataset
	$(DAMAGENET) train configs/demo.yaml
	$(DAMAGENET) evaluate $(DEMO)
	$(DAMAGENET) export $(DEMO)
	$(BIN)/python scripts/demo_claim.py $(DEMO)
	$(DAMAGENET) predict $(DEMO)/inbox --model $(DEMO)/detector.onnx \
		--heatmaps $(DEMO)/heatmaps > $(DEMO)/predictions.jsonl
	$(DAMAGENET) review $(DEMO)/claim/claim.jpg --listing $(DEMO)/claim/listing.jpg \
		--model $(DEMO)/detector.onnx --out $(DEMO)/review.html
	$(DAMAGENET) review --claims $(DEMO)/claims/claims.csv \
		--model $(DEMO)/detector.onnx --out $(DEMO)/reports
	@$(BIN)/python scripts/summary.py $(DEMO)

reproduce: setup ## train CONFIG anew; exit 1 at the first stage that differs, about 2 minutes
	$(BIN)/python scripts/reproduce.py $(CONFIG)

web: ## the page of clients/web, built into its dist/; needs Node 20.19 or newer
	cd clients/web && npm ci && npm run build

test: setup ## the fast tests, about 3 minutes
	$(BIN)/python -m pytest -q -n 2

test-slow: setup ## whole pipelines twice, and every notebook
	$(BIN)/python -m pytest -q -m slow -n 2 --dist loadfile

check: setup ## lint, format, types, notebooks in step with their sources
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python scripts/build_notebooks.py --check

docs: setup ## the documents as a site, site/index.html; a broken link fails
	$(BIN)/sphinx-build -q -W --keep-going -c docs . site

notebooks: setup ## build the .ipynb from their .py sources, output-free
	$(BIN)/python scripts/build_notebooks.py

lab: setup ## open the workbench at the first notebook
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks/01_products.ipynb

clean: ## remove runs, site and caches; keep .venv
	rm -rf runs site .pytest_cache .mypy_cache .ruff_cache
