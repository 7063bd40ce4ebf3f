#!/usr/bin/env bash
# A plan on the nodes of a SLURM allocation, a Ray worker on each; submit it again when the time was too short, it goes on.
#
#     sbatch --nodes=4 --gpus-per-node=8 tools/evaluate/examples/slurm.sh igg-256 --weights /data/weights --output /shared/igg-256
#
# Run in the pack's folder, which all nodes see, with Ray in the Python environment that is active. Not tried on a real cluster.
#SBATCH --job-name=evaluate
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --time=24:00:00
set -euo pipefail
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(srun --nodes=1 --ntasks=1 -w "$head" hostname --ip-address | awk '{print $1}'):6379

srun --nodes=1 --ntasks=1 -w "$head" ray start --head --port=6379 --block &
sleep 20
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
    srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$head" \
        ray start --address "$address" --block &
fi
sleep 20
srun --overlap --nodes=1 --ntasks=1 -w "$head" python -m tools.evaluate "$@" --device cuda --ray "$address"
