"""Run inside a host's Python path: writes a small VAE with random weights, of a kind the host's own loader knows (TAESD).

python tests/hosts/inside.py tiny_vae HOST_FOLDER CHANNELS FILE
"""

import sys

import torch
from comfy.taesd.taesd import TAESD
from safetensors.torch import save_file

channels, path = sys.argv[1:]

torch.manual_seed(0)
made = TAESD(latent_channels=int(channels))
state = made.state_dict()
for key, value in state.items():  # the host's layers leave their memory as they find it
    if value.dim() == 4:
        value.normal_(0.0, (2 / value[0].numel()) ** 0.5)
    elif key.endswith("bias"):
        value.zero_()
last = next(k for k in reversed(state) if k.startswith("taesd_decoder.") and k.endswith("weight"))
made.load_state_dict(state)
with torch.no_grad():
    state[last] /= 4 * made.decode(torch.randn(1, int(channels), 8, 8)).std()
    state[last.replace("weight", "bias")].fill_(0.75)
save_file({key: value.contiguous() for key, value in state.items()}, path)
