"""The list of nodes this pack offers."""

from comfy_api.v0_0_2 import ComfyExtension, io

from . import folders, guide
from .condition import ARClassCondition
from .diffusion import ARDiffusionIGG
from .find_scale import ARFindScale
from .inspect import ARGuidanceMap, ARGuidanceMetrics
from .load import ARLoadCheckpoint
from .prompt import ARPromptCondition
from .sample import ARDecode, ARSampler
from .text import ARLoadTextEncoder, ARTextCondition

folders.register()


class ARGuidanceExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            ARLoadCheckpoint,
            ARClassCondition,
            ARLoadTextEncoder,
            ARTextCondition,
            ARPromptCondition,
            ARSampler,
            *guide.NODES,
            ARDecode,
            ARGuidanceMap,
            ARGuidanceMetrics,
            ARFindScale,
            ARDiffusionIGG,
        ]
