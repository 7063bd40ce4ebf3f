"""Which of the tokenizer's four refining convolutions a scale takes: the reference's choice, ties included."""

import pytest
from ar_guidance.models.tokenizers.multiscale_vq import phi_index

# Of the reference, in float64; 3, 5, 7 and 9 scales hold exact ties, 10 and 14 are those of the releases.
REFERENCE = {
    3: [0, 2, 3],
    4: [0, 1, 2, 3],
    5: [0, 1, 2, 2, 3],
    7: [0, 0, 1, 2, 2, 3, 3],
    9: [0, 0, 1, 1, 2, 2, 2, 3, 3],
    10: [0, 0, 1, 1, 1, 2, 2, 3, 3, 3],
    14: [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3],
}


@pytest.mark.parametrize("scales", REFERENCE)
def test_every_scale_takes_the_reference_s(scales: int) -> None:
    assert [phi_index(k, scales, 4) for k in range(scales)] == REFERENCE[scales]
