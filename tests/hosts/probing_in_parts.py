"""Run inside a host's Python path: a scale is measured once in a single pass and once in parts.

    python tests/hosts/inside.py probing_in_parts HOST_FOLDER TRANSFORMER TOKENIZER

Prints, as JSON, how many images every pass made, progress reported out of its total, and what was measured.
"""

import json
import sys

import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.loaders.checkpoint import load_model
from ar_guidance.nodes.condition import ARClassCondition
from ar_guidance.nodes.execution import batches, probe
from ar_guidance.nodes.sample import ARSampler
from ar_guidance.nodes.types import Sampling

transformer, tokenizer = sys.argv[1:]

model = load_model(transformer, tokenizer)
condition = ARClassCondition.execute(model, "", "3").args[0]
settings = {"temperature": 1.0, "top_k": -1, "top_p": -1.0, "min_p": 0.0}
plain = ARSampler.execute(model, condition, seed=1, batch_size=1, **settings).args[0]
sampling = batches.replace(plain, guidances=(CFG(3.0),))
sample, sizes, reports = probe.sample, [], []


def counted(part: Sampling, job: object, report: probe.Reporter, *rest: object) -> object:
    sizes.append(part.batch)
    reports.append(report)
    return sample(part, job, report, *rest)


def measured(subject: torch.Tensor | None) -> dict[str, object]:
    """What a search on 4 images saw: its sizes, progress and probes."""
    sizes.clear()
    found = probe.ScaleSearch(sampling, 2.0, 4.0, 4, 4, True, subject).run()
    probes = [(p.scale, p.evenness, p.divergence, p.images) for p in found.probes]
    return {
        "sizes": list(sizes),
        "progress": (reports[-1].done, reports[-1].total),
        "probes": probes,
    }


probe.sample = counted
mask = torch.zeros(4, 64, 64, dtype=torch.bool)
for image in range(4):
    mask[image, 8 + 4 * image : 40 + 4 * image, 16:48] = True
with torch.inference_mode():
    for most in (64, 3):
        batches.MOST_AT_ONCE = most
        print(json.dumps([measured(None), measured(mask)]))
