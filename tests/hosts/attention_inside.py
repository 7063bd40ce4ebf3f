"""Run inside a host's Python path: does the attention that the host's user chose reach our models?

    python tests/hosts/inside.py attention_inside HOST_FOLDER CHOICE TRANSFORMER TOKENIZER

CHOICE: nothing, or the name of an option of the host (use_quad_cross_attention ...). Prints which function of the host was
called how often, and the tokens.
"""

import json
import sys
from typing import Any

import comfy.cli_args
import torch


def tried(choice: str, transformer: str, tokenizer: str) -> dict[str, Any]:
    """The calls and tokens of a run with this choice."""
    if choice != "nothing":
        setattr(comfy.cli_args.args, choice, True)
    # The host takes its choice when these are imported.
    from ar_guidance.loaders.checkpoint import load_model
    from ar_guidance.nodes.condition import ARClassCondition
    from ar_guidance.nodes.execution import run
    from ar_guidance.nodes.sample import ARSampler
    from comfy.ldm.modules import attention

    chosen, calls = attention.optimized_attention, []

    def counted(*arguments: object, **options: object) -> object:
        calls.append(chosen.__name__)
        return chosen(*arguments, **options)

    counted.__name__ = chosen.__name__
    attention.optimized_attention = counted
    model = load_model(transformer, tokenizer)
    condition = ARClassCondition.execute(model, "", "3").args[0]
    settings = {"temperature": 1.0, "top_k": -1, "top_p": -1.0, "min_p": 0.0}
    sampling = ARSampler.execute(model, condition, seed=1, batch_size=1, **settings).args[0]
    with torch.inference_mode():
        made = run.run_sampling(sampling)
    tokens = torch.cat([step.flatten() for step in made.tokens.steps])
    return {"called": sorted(set(calls)), "calls": len(calls), "tokens": tokens.tolist()}


print(json.dumps(tried(*sys.argv[1:])))
