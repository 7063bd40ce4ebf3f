"""Images as data URLs, which a browser shows without asking the server again."""

import base64
import io

import torch
from PIL import Image
from torch import Tensor

SAVING: dict[str, dict[str, bool | int]] = {
    "bmp": {},
    "png": {"compress_level": 1},
    "jpeg": {"quality": 88},
}
# Pixels a side up to which an image is sent as bmp (no time to pack it) or png (every pixel).
TINY, SMALL = 64, 128


def data_urls(images: Tensor, side: int, tiny: str, small: str = "png") -> list[str]:
    """(N, H, W, 3) in 0-1 as data URLs of at most `side` pixels a side; small images keep every pixel.

    `tiny`, `small`: formats of small images; a bmp takes a tenth of a png's time and twice its length.
    """
    pixels = (images.float().cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    longest = max(pixels.shape[1:3])
    kind = tiny if longest <= TINY else small if longest <= SMALL else "jpeg"
    urls = []
    for array in pixels:
        image, file = Image.fromarray(array), io.BytesIO()
        if max(image.size) > side:
            image.thumbnail((side, side), Image.Resampling.LANCZOS)
        image.save(file, kind, **SAVING[kind])
        urls.append(f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}")
    return urls
