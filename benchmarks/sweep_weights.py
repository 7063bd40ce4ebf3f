"""Which weights the data of docs/guidance-sweep.md were measured with: images of others are not added to them."""

from collections.abc import Mapping
from typing import Any

WEIGHTS = {"scale": "567388a37a951bce", "token": "e6fa0807af3af13e"}
"""Model -> the first digits of the SHA-256 of the transformer that docs/data/claims.json and sweep.json were measured with."""


def check_weights(report: Mapping[str, Any]) -> None:
    """Refuse images of other weights: what is added up must come from one network.

    Raises:
        SystemExit: a model's transformer is not the one of the data.
    """
    for model, files in report["weights"].items():
        kept = WEIGHTS.get(model, "none")
        if not files["transformer"].startswith(kept):
            raise SystemExit(
                f"'{report['name']}': its {model} model has other weights ({files['transformer'][:16]}) than those whose"
                f" numbers these would be added to ({kept}). To measure others, take what docs/data/claims.json and sweep.json"
                " have of that model out, and write the new weights into benchmarks/sweep_weights.py"
            )
