#!/usr/bin/env bash
# vgsearch under Slurm: a Ray cluster for the time of this job, one node per task, and a sweep on it.
#   sbatch --nodes=4 --gpus-per-node=4 slurm.sh mvt_tsa --budget paper
#   sbatch --nodes=4 --gpus-per-node=4 slurm.sh --resume /shared/vgsearch/runs/mvt_tsa-001
# README.md beside this file shows how to create $VGSEARCH_SHARED/venv. All nodes must see VGSEARCH_SHARED.
#SBATCH --job-name=vgsearch
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=0
# Exclusive nodes: no other job shares Ray's ports and /tmp/ray.
#SBATCH --exclusive
#SBATCH --time=24:00:00
# Ten minutes before the time limit the sweep saves and stops, as after Ctrl-C.
#SBATCH --signal=B:TERM@600
set -euo pipefail

shared=${VGSEARCH_SHARED:?"set VGSEARCH_SHARED to a folder that all nodes see, e.g. /shared/vgsearch"}
# shellcheck disable=SC1091
source "$shared/venv/bin/activate"
export VGSEARCH_CACHE=$shared/cache RAY_USAGE_STATS_ENABLED=0

# A token for this job, readable only by you. Without it, anyone who reaches the port below can run code as you.
umask 077
token_file=$shared/.token-$SLURM_JOB_ID
python -c 'import secrets; print(secrets.token_hex(32), end="")' >"$token_file"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$token_file

# When this script ends for any reason, end Ray on every node and delete the token.
steps=()
finish() {
  kill "${steps[@]}" 2>/dev/null || true
  wait "${steps[@]}" 2>/dev/null || true
  rm -f "$token_file"
}
trap finish EXIT

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head_ip=$(srun --overlap --nodes=1 --ntasks=1 --nodelist="${nodes[0]}" hostname --ip-address | awk '{print $1}')
port=$((20000 + SLURM_JOB_ID % 20000))
export RAY_ADDRESS=$head_ip:$port

# Since Slurm 22.05 a step gets one CPU by default.
cpus=${SLURM_CPUS_PER_TASK:-8}
export SRUN_CPUS_PER_TASK=$cpus

# The head's node trains too, since its GPUs are charged anyway; one CPU is reserved for the driver.
srun --overlap --nodes=1 --ntasks=1 --nodelist="${nodes[0]}" \
  ray start --head --node-ip-address="$head_ip" --port="$port" --num-cpus=$((cpus - 1)) \
  --dashboard-host=127.0.0.1 --disable-usage-stats --block &
steps+=($!)
if ((${#nodes[@]} > 1)); then
  others=$(IFS=,; echo "${nodes[*]:1}")
  # All start together: each waits until the head listens.
  srun --overlap --nodes=$((${#nodes[@]} - 1)) --ntasks=$((${#nodes[@]} - 1)) --nodelist="$others" bash -c \
    "for attempt in {1..150}; do (: </dev/tcp/$head_ip/$port) 2>/dev/null && break; sleep 2; done
     exec ray start --address=$RAY_ADDRESS --num-cpus=$cpus --block" &
  steps+=($!)
fi

# The sweep plans with the nodes that have joined, so wait for all of them.
python - "${#nodes[@]}" <<'PYTHON'
import sys
import time

import ray

wanted, give_up = int(sys.argv[1]), time.monotonic() + 300
while True:
    try:
        if not ray.is_initialized():
            ray.init(log_to_driver=False, logging_level="ERROR")
        alive = sum(node["Alive"] for node in ray.nodes())
    except ConnectionError:
        alive = 0
    if alive >= wanted:
        break
    if time.monotonic() > give_up:
        sys.exit(f"{alive} of {wanted} nodes joined within 300 s; see the lines of `ray start` above")
    time.sleep(2)
PYTHON

if [[ ${1:-} == --resume ]]; then
  vgsearch resume "$2" --address "$RAY_ADDRESS" &
else
  vgsearch tune "$@" --address "$RAY_ADDRESS" --out "$shared/runs" &
fi
sweep=$!
# `wait` also returns on a signal, before the sweep has ended; then wait again.
trap 'kill -TERM "$sweep" 2>/dev/null || true' TERM INT
status=0
wait "$sweep" || status=$?
while kill -0 "$sweep" 2>/dev/null; do
  status=0
  wait "$sweep" || status=$?
done
# 130: interrupted; `vgsearch resume` continues.
exit "$status"
