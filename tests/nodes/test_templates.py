"""The host's list of templates: ours by number, others' and other answers as they come."""

import asyncio
import json

import pytest
from ar_guidance.nodes import templates
from ar_guidance.nodes.templates import PACK, in_order, with_sorted

LISTED = {"other": ["b", "a"], PACK: ["20 Vary", "03 Maps", "01 First"]}
SORTED = {"other": ["b", "a"], PACK: ["01 First", "03 Maps", "20 Vary"]}


def test_ours_is_sorted_and_no_other() -> None:
    assert json.loads(with_sorted(json.dumps(LISTED), PACK)) == SORTED


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"other": ["b", "a"]}', f'{{"{PACK}": 3}}'])
def test_what_is_no_such_list_stays(text: str) -> None:
    assert with_sorted(text, PACK) == text


def test_without_a_server_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(templates.sys.modules, "server", raising=False)
    templates.register()


@pytest.mark.parametrize(
    ("path", "answer"),
    [("/api/workflow_templates", SORTED), ("/workflow_templates", SORTED), ("/history", LISTED)],
)
def test_answers_to_other_questions_stay(path: str, answer: object) -> None:
    web = pytest.importorskip("aiohttp.web", reason="the host's server")
    from aiohttp.test_utils import make_mocked_request

    async def listed(request: object) -> object:
        return web.json_response(LISTED)

    response = asyncio.run(in_order(make_mocked_request("GET", path), listed))
    assert json.loads(response.text) == answer
