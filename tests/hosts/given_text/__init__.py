"""A node for tests only: text features out of a file of the input folder as a stock CONDITIONING."""

from pathlib import Path

import folder_paths
from safetensors.torch import load_file


class GivenText:
    """`features` (B, n, E), and where the file has them `mask` (B, n) and `pooled` (B, P)."""

    CATEGORY = "tests"
    FUNCTION = "give"
    RETURN_TYPES = ("CONDITIONING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"file": ("STRING", {})}}

    def give(self, file):
        given = load_file(Path(folder_paths.get_input_directory()) / file)
        names = {"mask": "attention_mask", "pooled": "pooled_output"}
        options = {names[key]: value for key, value in given.items() if key in names}
        return ([[given["features"], options]],)


NODE_CLASS_MAPPINGS = {"GivenText": GivenText}
