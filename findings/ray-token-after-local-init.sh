#!/usr/bin/env bash
# Ray 2.60.0: one `ray.init()` on a machine changes what `ray start` and `ray job submit` do there afterwards.
#
# Guess: `ray start --head` then `ray job submit` behave the same whether or not a program on this machine used an embedded
#        `ray.init()` before; with RAY_AUTH_MODE unset there is no authentication.
# Seen:  the first local `ray.init()` turns token authentication on for itself and leaves ~/.ray/auth_token. From then on
#        `ray start --head` finds that file and turns token authentication on for the whole cluster, while the `ray job submit`
#        beside it, with the same environment and the same file, sends no token and is refused (401). Without the earlier
#        ray.init() the very same two commands work. With RAY_AUTH_MODE=token submitting works again.
# Exits non-zero if any of that changes.
set -euo pipefail
folder=$(mktemp -d)
export HOME=$folder RAY_TMPDIR=$folder/tmp RAY_USAGE_STATS_ENABLED=0
unset RAY_AUTH_MODE RAY_AUTH_TOKEN RAY_AUTH_TOKEN_PATH RAY_ADDRESS
mkdir -p "$RAY_TMPDIR"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "ray[default]==2.60.0"
ray=$folder/venv/bin/ray
trap 'rm -rf "$folder"' EXIT

submit() {  # exit status of a job on a head node of its own; its output in $folder/$1.log
  setsid "$ray" start --head --block --num-cpus 1 --port 26380 --dashboard-port 28266 >"$folder/start-$1.log" 2>&1 &
  head=$!
  for _ in $(seq 120); do
    (: </dev/tcp/127.0.0.1/28266) 2>/dev/null && break
    sleep 1
  done
  sleep 5  # the port answers a little before jobs are taken
  status=0
  env ${2:+"$2"} "$ray" job submit --address http://127.0.0.1:28266 -- python3 -c 'print("ran")' \
    >"$folder/$1.log" 2>&1 || status=$?
  kill -TERM -- "-$head"  # this head node alone: `ray stop` would end every Ray on the machine
  wait "$head" || true
  sleep 2
  rm -rf "$RAY_TMPDIR/ray"  # or ray.init() would look for this node
  echo "$1: exit $status; $(grep -c '^ran' "$folder/$1.log" || true) x ran; $(grep -o 'Unauthorized: [A-Za-z ]*' "$folder/$1.log" | head -1)"
}

before=$(submit before)
"$folder/venv/bin/python" -c 'import ray; ray.init(num_cpus=1, include_dashboard=False); ray.shutdown()' >"$folder/init.log" 2>&1 ||
  { cat "$folder/init.log"; exit 1; }
file=$(ls "$HOME/.ray")
after=$(submit after)
told=$(submit told RAY_AUTH_MODE=token)
printf 'ray 2.60.0\n%s\nfiles in ~/.ray after ray.init(): %s\n%s\n%s\n' "$before" "$file" "$after" "$told"
[[ $before == "before: exit 0; 1 x ran"* ]]
[[ $file == auth_token ]]
[[ $after == "after: exit 1; 0 x ran; Unauthorized: Missing authentication token" ]]
[[ $told == "told: exit 0; 1 x ran"* ]]
