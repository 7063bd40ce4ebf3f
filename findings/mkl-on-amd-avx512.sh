#!/usr/bin/env bash
# torch 2.13.0+cpu on Linux, x86: what computes a single-precision linear layer, and with which vectors?
# Guess: with the widest that torch.backends.cpu.get_cpu_capability() names, as PyTorch's own loops do; and, since oneDNN is built in
# (torch.backends.mkldnn.is_available()), oneDNN, which computes the same layer in bfloat16.
# Seen: MKL's SGEMM. On a processor of AMD with AVX-512 (get_cpu_capability says AVX512) it took 1.9 to 2.6 times as long as oneDNN's product of
# the same matrices, 1.1 to 1.4 times where oneDNN was held to AVX2, so MKL's rate is that of AVX2. 128 to 4096 rows, one thread and two.
# Which library, on any x86. How fast, only on AMD's with AVX-512, and only asserted where oneDNN itself gains by it (some of them
# take such a vector in two halves). Exits non-zero when this is no longer so.
set -euo pipefail
case "$(uname -sm)" in "Linux x86_64") ;; *) echo "does not apply: needs Linux on x86"; exit ;; esac
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0+cpu numpy)
"${pip[@]}" 2>/dev/null || "${pip[@]}" --extra-index-url https://download.pytorch.org/whl/cpu
unset ONEDNN_MAX_CPU_ISA DNNL_MAX_CPU_ISA ATEN_CPU_CAPABILITY MKL_CBWR MKL_ENABLE_INSTRUCTIONS MKL_DEBUG_CPU_TYPE
cd "$work"
cat > called.py <<'PYTHON'
import torch

x, w, b = torch.randn(256, 1024), torch.randn(1024, 1024), torch.randn(1024)
print("CALL layer", flush=True)
torch.nn.functional.linear(x, w, b)
print("CALL oneDNN's product", flush=True)
torch.ops.mkldnn._linear_pointwise(x, w, b, "none", [], "")
print("CALL layer in bfloat16", flush=True)
torch.nn.functional.linear(x.bfloat16(), w.bfloat16(), b.bfloat16())
PYTHON
cat > timed.py <<'PYTHON'
import statistics
import time

import torch

w, b = torch.randn(1024, 1024), torch.randn(1024)
layer = lambda x: torch.nn.functional.linear(x, w, b)
onednn = lambda x: torch.ops.mkldnn._linear_pointwise(x, w, b, "none", [], "")
for rows in (128, 512, 2048, 4096):
    x, taken = torch.randn(rows, 1024), {layer: [], onednn: []}
    assert torch.allclose(layer(x), onednn(x), atol=1e-3)
    for turn in range(15):
        for way, times in taken.items():
            start = time.perf_counter()
            way(x)
            times.append(time.perf_counter() - start)
    print(rows, *(statistics.median(times) * 1e3 for times in taken.values()))
PYTHON
"$work/venv/bin/python" - <<'PYTHON'
import os
import statistics
import subprocess
import sys
from pathlib import Path

import torch


def printed(program, **environment):
    command = [sys.executable, program]
    return subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def libraries(text):
    """The libraries that said they computed something."""
    return {name for name, line in (("MKL", "MKL_VERBOSE SGEMM"), ("oneDNN", "primitive,exec,cpu")) if line in text}


def ratios(**environment):
    """How many times oneDNN's product the layer took, by rows."""
    found = {}
    for line in printed("timed.py", **environment).splitlines():
        rows, layer, onednn = line.split()
        found[rows] = float(layer) / float(onednn)
        print(f"{environment or ''} {rows} rows: layer {float(layer):.2f} ms, oneDNN {float(onednn):.2f} ms: {found[rows]:.2f}")
    return found


print("torch", torch.__version__, "kernels", torch.backends.cpu.get_cpu_capability())
said = printed("called.py", MKL_VERBOSE="1", ONEDNN_VERBOSE="1")
calls = dict(part.split("\n", 1) for part in said.split("CALL ")[1:])
for name, text in calls.items():
    lines = [line for line in text.splitlines() if libraries(line)]
    print(f"{name}:", *[line[:100] for line in lines])
assert torch.backends.mkldnn.is_available()
assert libraries(calls["layer"]) == {"MKL"}, "the layer is no longer MKL's"
assert libraries(calls["oneDNN's product"]) == {"oneDNN"}, "nothing shows oneDNN's product"

processor = Path("/proc/cpuinfo").read_text()
if "AuthenticAMD" not in processor or " avx512f" not in processor:
    print("the second part does not apply: no processor of AMD with AVX-512")
    sys.exit()
assert libraries(calls["layer in bfloat16"]) == {"oneDNN"}
wide, narrow = ratios(), ratios(ONEDNN_MAX_CPU_ISA="AVX2")
if statistics.median(wide.values()) < 1.3 * statistics.median(narrow.values()):
    print("the second part does not apply: oneDNN gains little by AVX-512 on this processor")
    sys.exit()
assert all(ratio >= 1.3 for ratio in wide.values()), "MKL is no longer slower here"
PYTHON
