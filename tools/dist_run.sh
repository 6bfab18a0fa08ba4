#!/usr/bin/env bash
# Starts a tool with torchrun, for dist_train.sh and dist_test.sh:
#   dist_run.sh GPUS TOOL [arguments of the tool]
set -euo pipefail
gpus=$1 tool=$2
shift 2
if ! [[ $gpus =~ ^[1-9][0-9]*$ ]]; then
    echo "error: GPUS=$gpus must be an integer of at least 1" >&2
    exit 1
fi

# torchrun chooses 1 where nobody did, and prints a paragraph about it.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${PORT:-29500}" \
    --nproc-per-node="$gpus" \
    "$(dirname "${BASH_SOURCE[0]}")/$tool" "$@" --launcher pytorch
