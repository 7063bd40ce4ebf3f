"""Programs around the pack. The pack itself is imported under its fixed name `ar_guidance`, as ComfyUI would load it."""

from .pack import load_pack

load_pack()
