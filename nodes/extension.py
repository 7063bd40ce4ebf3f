"""The list of nodes this pack offers."""

from comfy_api.v0_0_2 import ComfyExtension, io

from . import folders, guide
from .condition import ARClassCondition
from .diffusion import ARDiffusionIGG
from .edit import ARInpaint, ARKeepScales, AROutpaint
from .find_scale import ARFindScale
from .inspect import ARGuidanceMap, ARGuidanceMetrics
from .load import ARLoadCheckpoint
from .sample import ARDecode, ARSampler
from .token_nodes import ARImageToTokens, ARTokensToImage

folders.register()


class ARGuidanceExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            ARLoadCheckpoint,
            ARClassCondition,
            ARSampler,
            *guide.NODES,
            ARDecode,
            ARImageToTokens,
            ARTokensToImage,
            ARKeepScales,
            ARInpaint,
            AROutpaint,
            ARGuidanceMap,
            ARGuidanceMetrics,
            ARFindScale,
            ARDiffusionIGG,
        ]
