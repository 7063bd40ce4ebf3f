"""ComfyUI-AR-Guidance: visual autoregressive image models and their guidance methods, as ComfyUI nodes."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():  # type: ignore[no-untyped-def]
    """Called by ComfyUI: the extension that lists this pack's nodes."""
    from .nodes.extension import ARGuidanceExtension

    return ARGuidanceExtension()
