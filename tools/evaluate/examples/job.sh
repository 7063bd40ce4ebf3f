#!/usr/bin/env bash
# A plan as a job of a Ray cluster, which carries the pack to every machine. Run it in the pack's folder:
#
#     tools/evaluate/examples/job.sh http://127.0.0.1:8265 igg-256 --weights /data/weights --device cuda --output /shared/igg-256
#
# The first argument is the address of the cluster's dashboard, the others are those of `python -m tools.evaluate`. Weights and output
# are paths on the cluster's machines: name them absolutely, for the job's own folder is removed after it.
set -euo pipefail
address=${1:?usage: job.sh DASHBOARD PLAN [OPTIONS]}
shift
exec ray job submit --address "$address" --working-dir . -- python -m tools.evaluate "$@" --ray
