"""Programs around the pack. The pack itself is imported under its fixed name `ar_guidance`, as ComfyUI would load it."""

import os

from .pack import load_pack

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads must not spin: 10x slower
load_pack()
