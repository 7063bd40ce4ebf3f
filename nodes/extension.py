"""The list of nodes this pack offers."""

from comfy_api.v0_0_2 import ComfyExtension, io

from . import guide, templates
from .boxes import ARBoxMask
from .compare import ARCompare
from .compose import ARBlend, ARRegion
from .condition import ARClassCondition
from .diffusion import ARDiffusionIGG
from .diffusion_trace import ARDiffusionRecord, ARDiffusionTrace
from .edit import ARInpaint, ARKeepScales
from .edm2 import AREDM2Decode, AREDM2Sampler, ARLoadEDM2
from .entropy import AREntropyTemperature
from .find_scale import ARFindScale
from .inputs import folders
from .inspect import ARGuidanceMap, ARGuidanceMetrics
from .load import ARLoadCheckpoint
from .outpaint import AROutpaint
from .panels import ARDualPanel
from .prompt import ARPromptCondition
from .reveal import ARRevealOrder
from .sample import ARDecode, ARSampler
from .seeds import ARSeeds
from .spectrum import ARGuidanceSpectrum
from .sweep import ARGrid, ARSweep
from .text import ARLoadTextEncoder, ARTextCondition
from .token_files import ARLoadTokens, ARSaveTokens
from .token_nodes import ARImageToTokens, ARTokensToImage

folders.register()
templates.register()


class ARGuidanceExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            ARLoadCheckpoint,
            ARClassCondition,
            ARLoadTextEncoder,
            ARTextCondition,
            ARPromptCondition,
            ARRegion,
            ARBlend,
            ARBoxMask,
            ARSampler,
            ARSeeds,
            ARRevealOrder,
            AREntropyTemperature,
            *guide.NODES,
            ARDecode,
            ARImageToTokens,
            ARTokensToImage,
            ARSaveTokens,
            ARLoadTokens,
            ARKeepScales,
            ARInpaint,
            AROutpaint,
            ARDualPanel,
            ARSweep,
            ARGrid,
            ARCompare,
            ARGuidanceMap,
            ARGuidanceMetrics,
            ARGuidanceSpectrum,
            ARFindScale,
            ARDiffusionIGG,
            ARDiffusionRecord,
            ARDiffusionTrace,
            ARLoadEDM2,
            AREDM2Sampler,
            AREDM2Decode,
        ]
