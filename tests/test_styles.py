"""The styles that come with the pack: settings that exist, and the papers' numbers."""

import json
from pathlib import Path

from ar_guidance.guidance.igg import IGG
from ar_guidance.sampling.paper_settings import ROWS

ROOT = Path(__file__).resolve().parents[1]
CONTENT = json.loads((ROOT / "web" / "styles.json").read_text("utf-8"))
NODES = json.loads((ROOT / "locales" / "en" / "nodeDefs.json").read_text("utf-8"))
STYLES = {style["name"]: style for style in CONTENT["styles"]}


def test_every_setting_exists() -> None:
    assert CONTENT["version"] == 1 and len(STYLES) == len(CONTENT["styles"]) >= 3
    for style in STYLES.values():
        assert style["sampler"].keys() <= NODES["ARSampler"]["inputs"].keys()
        for one in style["guidance"]:
            assert one["settings"].keys() <= NODES[one["node"]]["inputs"].keys()


def test_the_paper_s_style_has_the_paper_s_numbers() -> None:
    (row,) = (row for row in ROWS if row.name == "VAR-d30 IGG")
    (published,) = row.chain
    style = STYLES["paper: IGG d30"]
    (one,) = style["guidance"]
    assert isinstance(published, IGG) and one["node"] == published.node_id
    for name, value in one["settings"].items():
        assert getattr(published, name) == value, name
    assert (style["sampler"]["top_k"], style["sampler"]["top_p"]) == (900, 0.96)
