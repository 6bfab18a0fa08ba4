#!/usr/bin/env bash
# Trains with one process per GPU, on one machine or several.
#
#   bash tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
#
# On several machines run it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo 'usage: bash tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]' >&2
    exit 2
fi
config=$1 gpus=$2
shift 2
exec bash "$(dirname "${BASH_SOURCE[0]}")/dist_run.sh" "$gpus" train.py "$config" "$@"
