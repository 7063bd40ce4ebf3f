"""Which weights the data of docs/guidance-sweep.md were measured with: images of others are not added to them."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from ar_guidance.tools.bundled.sample import FILES
from ar_guidance.tools.pack import ROOT

WEIGHTS = {"scale": "c6e15fd54f232131", "token": "e6fa0807af3af13e"}
"""Model -> the first digits of the SHA-256 of the transformer that docs/data/claims.json and sweep.json were measured with."""


def check_weights(report: Mapping[str, Any], wanted: Mapping[str, str]) -> None:
    """Refuse images of other weights: what is added up must come from one network.

    Raises:
        SystemExit: a model's transformer is not the one that is wanted.
    """
    for model, files in report["weights"].items():
        kept = wanted.get(model, "none")
        if not files["transformer"].startswith(kept):
            raise SystemExit(
                f"'{report['name']}': its {model} model has other weights ({files['transformer'][:16]}) than those whose"
                f" numbers these would be added to ({kept}); see 'Which weights' in docs/guidance-sweep.md"
            )


def present_weights() -> dict[str, str]:
    """Model -> SHA-256 of the bundled transformer."""
    return {
        model: sha256((ROOT / "bundled" / transformer).read_bytes()).hexdigest()
        for model, (_, transformer) in FILES.items()
    }
