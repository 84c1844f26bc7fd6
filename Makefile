# Everything a newcomer needs: `make demo` and `make test`.
# Variables: PYTHON=python3.10 ... python3.13, DISTRO=jazzy|kilted, JOBS=how many tests run at a time.

PYTHON ?= python3
DISTRO ?= jazzy
# One ROS distribution per environment: both own the distribution name ros-rclpy.
VENV := .venv$(if $(filter-out jazzy,$(DISTRO)),-$(DISTRO))
BIN := $(VENV)/bin
TRAINING_VENV := .venv-training
TORCH ?= torch==2.13.0
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
JOBS ?= 3
PYTEST_ARGS ?=

.PHONY: demo test test-runtime test-training model docs clean

demo: same-python $(VENV)/demo.stamp
	$(BIN)/cloudypoints demo $(ARGS)

test: test-runtime test-training

test-runtime: same-python $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --ignore tests/training --ignore tests/gpu -n $(JOBS) $(PYTEST_ARGS)

test-training: same-training-python $(TRAINING_VENV)/test.stamp
	$(TRAINING_VENV)/bin/python -m pytest tests/training tests/gpu -n $(JOBS) $(PYTEST_ARGS)

# A model like the embedded one, 80 minutes on two cores; Ctrl-C stops, the same command goes on. In the end it stands
# beside the embedded one on the same drawn scenes; copying it over that one, with its card, is left to you.
MODEL_RUN ?= runs/street
EMBEDDED := src/cloudypoints_ros/models/cloudypoints_street.onnx
TRAINED := $(MODEL_RUN)/cloudypoints_street.onnx
model: same-training-python $(TRAINING_VENV)/test.stamp
	$(TRAINING_VENV)/bin/cloudypoints-train fit $(MODEL_RUN) --steps 13000 --seed 0 --workers 2 --validate-every 1000 --resume
	$(TRAINING_VENV)/bin/cloudypoints-train export $(MODEL_RUN)/checkpoint.safetensors $(TRAINED) --small
	$(TRAINING_VENV)/bin/python bench/models.py $(EMBEDDED) $(TRAINED) -o $(MODEL_RUN) --count 60 --threads 2

# Tables in README.md and config/depth.yaml that are generated from the code.
docs: same-python $(VENV)/demo.stamp
	$(BIN)/python -m cloudypoints_ros.documentation

clean:
	rm -rf .venv* out build install log dist src/*.egg-info

$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v <= (3, 13) else f"Python {v[0]}.{v[1]} was found; CloudyPoints ROS runs on 3.10 to 3.13: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# An environment keeps the Python it was made with: this stops where $(1) exists and has another one.
VERSION_OF := -c 'import sys; print(*sys.version_info[:2])'
define same_python
@test ! -x $(1)/bin/python || test "$$($(1)/bin/python $(VERSION_OF))" = "$$($(PYTHON) $(VERSION_OF))" || { \
  echo "$(1) was made with another Python than $(PYTHON): run 'make clean' first, or leave PYTHON as it was"; exit 2; }
endef

.PHONY: same-python same-training-python
same-python:
	$(call same_python,$(VENV))
same-training-python:
	$(call same_python,$(TRAINING_VENV))

$(VENV)/demo.stamp: $(VENV)/python.stamp setup.py
	@echo "Installing CloudyPoints ROS and ROS 2 $(DISTRO) into $(VENV) (once, a minute or two) ..."
	$(BIN)/python $(PIP_INSTALL) -e '.[standalone,demo,$(DISTRO)]'
	@touch $@

$(VENV)/test.stamp: $(VENV)/demo.stamp
	$(BIN)/python $(PIP_INSTALL) -e '.[test]' 'setuptools<80'
	@touch $@

$(TRAINING_VENV)/test.stamp: setup.py src/cloudypoints_training/pyproject.toml
	$(PYTHON) -m venv $(TRAINING_VENV)
	$(TRAINING_VENV)/bin/python $(PIP_INSTALL) '$(TORCH)'
	$(TRAINING_VENV)/bin/python $(PIP_INSTALL) -e '.[standalone]' -e 'src/cloudypoints_training[test]'
	@touch $@
