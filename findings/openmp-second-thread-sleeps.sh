#!/usr/bin/env bash
# torch 2.13.0+cpu on Linux (its own libgomp), OMP_WAIT_POLICY unset: do its threads wait for each other awake, whichever thread computes?
# Guess: yes; libgomp says that threads "wait actively for a short time", and a second Python thread is as good as the first.
# Seen: not while another thread that has once computed in parallel still lives. libgomp keeps a team of helpers for each such thread
# and counts all of them; where that is more than the processors there are, every wait sleeps at once, in both threads. An add_ of
# 65,536 floats took 15 to 60 us instead of 4, with two voluntary context switches. When the other thread ends, it is as guessed again.
# With as many threads as processors, which PyTorch takes by itself where no processor is half of a core.
# Asserts on context switches; the times are shown. Exits non-zero when this is no longer so.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
if [ "$(python3 -c 'import os; print(len(os.sched_getaffinity(0)))')" -lt 2 ]; then
    echo "does not apply: needs two processors"; exit
fi
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0+cpu numpy)
"${pip[@]}" 2>/dev/null || "${pip[@]}" --extra-index-url https://download.pytorch.org/whl/cpu
unset OMP_WAIT_POLICY GOMP_SPINCOUNT GOMP_CPU_AFFINITY OMP_PROC_BIND OMP_PLACES OMP_DYNAMIC OMP_THREAD_LIMIT
cd "$work" && "$work/venv/bin/python" - <<'PYTHON'
import os
import resource
import statistics
import threading
import time

PROCESSORS = len(os.sched_getaffinity(0))
os.environ["OMP_NUM_THREADS"] = str(PROCESSORS)

import torch

torch.set_num_threads(PROCESSORS)  # where two processors are one core, the variable alone gives half as many
TURNS, OPERATIONS = 9, 200
switches = {}


def measure(name):
    """Voluntary context switches and microseconds per operation, of this thread and its helpers; medians."""
    x, counted, taken = torch.zeros(1 << 16), [], []
    for turn in range(TURNS):
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        for _ in range(OPERATIONS):
            x.add_(1)
        taken.append((time.perf_counter() - start) / OPERATIONS * 1e6)
        after = resource.getrusage(resource.RUSAGE_SELF)
        counted.append((after.ru_nvcsw - before.ru_nvcsw) / OPERATIONS)
    switches[name] = statistics.median(counted)
    print(f"{name}: {switches[name]:.2f} context switches, {statistics.median(taken):.1f} us an operation", flush=True)


def in_a_thread(name):
    thread = threading.Thread(target=measure, args=(name,))
    thread.start()
    thread.join()


print("torch", torch.__version__, "threads", torch.get_num_threads(), "processors", PROCESSORS)
in_a_thread("a second thread, nothing run in the first")
measure("the first thread, the second has ended")
in_a_thread("a second thread, operations run in the first, which lives")
measure("the first thread, that second has ended, too")

ready, over = threading.Event(), threading.Event()
second = threading.Thread(target=lambda: (torch.zeros(1 << 16).add_(1), ready.set(), over.wait()))
second.start()
ready.wait()
measure("the first thread, one operation run in a second, which lives")
over.set()
second.join()

both = [name for name in switches if name.endswith("which lives")]
alone = [name for name in switches if name not in both]
assert all(switches[name] < 0.1 for name in alone), "a thread whose team is the only one sleeps"
assert all(switches[name] > 0.5 for name in both), "two threads' teams no longer sleep at once"
PYTHON
