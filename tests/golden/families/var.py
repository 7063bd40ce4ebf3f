"""Golden cases of VAR, through the loaders and the loop the nodes use."""

from typing import Any

import torch
from ar_guidance.models.tokenizers.multiscale_vq import phi_index
from golden_shared import (
    Setup,
    build,
    check_filters,
    check_gumbel,
    check_runs,
    check_tokenizer,
    find,
    load,
    setup_of,
)


def setup(case: Any) -> Setup:
    labels = torch.tensor(case.facts["runs"]["main"]["label"])
    return setup_of(case, load(case, "tokenizer"), labels)


def run(case: Any) -> None:
    with torch.inference_mode():
        codec = load(case, "tokenizer")
        grids = [(side, side) for side in case.facts["config"]["patch_nums"]]
        indices = [phi_index(k, len(grids), codec.config.phi_count) for k in range(len(grids))]
        assert indices == case.facts["config"]["phi_index_per_scale"]
        check_tokenizer(case, codec, grids)
        if case.file("transformer") is not None:
            heads = case.facts["config"][
                "num_heads"
            ]  # in no weight where q and k are not normalised
            model = find(case, "transformer", heads=heads)
            assert list(model.config.grids) == grids
            labels = lambda settings: torch.tensor(settings["label"])  # noqa: E731
            check_runs(case, model, build(model), codec, labels)
        check_filters(case)
        check_gumbel(case)
