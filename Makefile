# On a fresh machine run `make sweep` or `make test`. Each first installs into .venv; a second run installs nothing.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
TESTABLE := .venv/testable

DOCUMENTED := .venv/documented
DRILLABLE := .venv/drillable

.PHONY: install sweep test drills gpu ranges lint docs notebook kuberay-fields

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@start=$$(date +%s); \
	test -x $(BIN)/python || $(PYTHON) -m venv .venv; \
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]' && \
	touch $(INSTALLED) && echo "installed into .venv in $$(( $$(date +%s) - start )) s"

# Also installs the packages that only tests need, so that a sweep starts without them.
$(TESTABLE): $(INSTALLED)
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,test]'
	@touch $(TESTABLE)

sweep: $(INSTALLED)
	$(BIN)/vgsearch tune mvt_tsa --budget smoke

# Tests that start Ray run last, so that fast failures come first. Each file starts its own Ray; two files run at a time,
# the longest ones (end_to_end, then commands) first, so that neither process waits for the other at the end.
RAY_TESTS := tests/end_to_end tests/vgsearch/commands tests/vgsearch/runtime
IN_PARALLEL := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Also what builds docs/, runs examples/ and tests the trackers.
$(DRILLABLE): $(TESTABLE)
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,test,docs,notebook,mlflow,wandb,trackio]'
	@touch $(DRILLABLE)

test: $(TESTABLE)
	$(IN_PARALLEL) $(RAY_TESTS:%=--ignore=%)
	$(IN_PARALLEL) $(RAY_TESTS)

# Opens reports in Chromium, and runs `ray up` over ssh to hosts in network namespaces; what is missing and can't be
# installed skips its tests with a message.
drills: $(DRILLABLE)
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || echo "no Chromium: apt-get could not install one"
	@PATH="$$PATH:/usr/sbin"; command -v sshd >/dev/null && command -v ssh >/dev/null && command -v rsync >/dev/null && command -v ip >/dev/null || \
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends openssh-server openssh-client rsync iproute2 >/dev/null; } || echo "no ssh hosts: apt-get could not install openssh-server, rsync and iproute2"
	$(BIN)/python -m pytest -m slow
	$(BIN)/python -m tests.fuzzing.fuzz
	$(BIN)/python -m tests.end_to_end.process_faults

# Needs a CUDA device: compares it with the CPU, measures steps and memory into reports/gpu-<date>/, then runs a sweep. The
# first two need no Ray; a part that fails does not keep the next from running.
gpu: $(TESTABLE)
	@failed=0; \
	$(BIN)/python -m pytest -m gpu -rs --timeout 300 --confcutdir=tests/gpu --ignore=tests/gpu/test_sweep.py tests/gpu || failed=1; \
	$(BIN)/python -m tests.gpu.measure || failed=1; \
	$(BIN)/python -m pytest -m gpu -rs tests/gpu/test_sweep.py || failed=1; \
	exit $$failed

# Tries random points of every search space for 50 steps; goes on where a stopped run ended.
ranges: $(TESTABLE)
	$(BIN)/python -m tests.benchmarks.ranges

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Writes the pages of docs/ into site/; a broken link is an error.
docs: $(DOCUMENTED)
	$(BIN)/mkdocs build --strict

$(DOCUMENTED): $(INSTALLED)
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	@touch $(DOCUMENTED)

# Runs examples/first_search.ipynb, minutes on two cores, and stores what it prints and draws.
notebook: $(DRILLABLE)
	@folder=$$(mktemp -d) && cp examples/first_search.ipynb $$folder && \
	$(BIN)/jupyter execute --inplace $$folder/first_search.ipynb && cp $$folder/first_search.ipynb examples/ && rm -r $$folder

# Regenerates the table of KubeRay's fields for `cluster check`: make kuberay-fields VERSION=v1.7.0 CRD=FILE, where FILE
# is that version's helm-chart/kuberay-operator/crds/ray.io_rayjobs.yaml.
kuberay-fields: $(INSTALLED)
	$(BIN)/python -m vgsearch.cluster.check.generate_kuberay_fields $(CRD) \
	"KubeRay $(VERSION), helm-chart/kuberay-operator/crds/ray.io_rayjobs.yaml"
