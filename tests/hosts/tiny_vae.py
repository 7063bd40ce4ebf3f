"""Run inside a host's Python path: writes a small VAE with random weights, of a kind the host's own loader knows (TAESD).

python tiny_vae.py HOST_FOLDER CHANNELS FILE
"""

from inside import enter  # the script beside this one

channels, path = enter()

import torch  # noqa: E402
from comfy.taesd.taesd import TAESD  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

torch.manual_seed(0)
state = TAESD(latent_channels=int(channels)).state_dict()
last = next(k for k in reversed(state) if k.startswith("taesd_decoder.") and k.endswith("weight"))
state[last] *= 20  # random weights alone give black images
state[last.replace("weight", "bias")].fill_(0.75)
save_file({key: value.contiguous() for key, value in state.items()}, path)
