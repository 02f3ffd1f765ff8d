"""Keys go to their own vendor and nowhere else: not to hosts that answers name, not into words of ours."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from sandbox.vendors import trouble
from schemas.errors import BadRequest, Malformed, NotFound, ProviderAway
from tests.integration.providers.case import FRAGMENTS, LONG, NOON_NS, SYMBOL, Case
from tests.integration.providers.stranger import Stranger
from tests.integration.providers.subject import POLYGON
from tests.integration.providers.truth import Truth, first_difference

pytestmark = pytest.mark.integration


def echoes(key: str) -> dict[str, str]:
    """Return bodies in which a vendor repeats what it was asked with."""
    room = 512 - len('{"error":"') - len(key)
    return {
        "text": f'{{"error":"no {key}","message":"no {key}","detail":"no {key}","status":"ERROR"}}',
        # what is kept of an answer ends within the key
        "cut": '{"error":"' + "x" * (room + 3) + key + '"}',
        "name": f'{{"{key}":[{{"{key}":1}}]}}',
        "quoted": f'{{"error":"{quote(key, safe="")}"}}',
        "as_sent": f'{{"error":"{URL("http://vendor/").with_query(token=key)}"}}',
        "html": f"<html>{key} {quote(key, safe='')}</html>",
    }


@pytest.mark.parametrize("how", list(echoes("")))
async def test_a_vendor_that_repeats_the_key(case: Case, how: str) -> None:
    for key in case.secrets:
        for code in (200, 400, 401, 429, 500):
            case.emulator.faults.clear()
            case.script("status", status=code, body=echoes(key)[how].encode())
            assert await case.ask() <= 2
            assert case.error is not None
            said = str(case.error) + repr(case.error) + repr(vars(case.error))
            assert not [fragment for fragment in FRAGMENTS if fragment in said], said


async def test_a_redirect_is_not_followed(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Stranger() as stranger:
        monkeypatch.setattr(trouble, "FOREIGN", stranger.url)
        case.script("redirect")
        assert await case.ask() == 2
        assert isinstance(case.error, ProviderAway)
        assert stranger.connections == 0


@pytest.mark.parametrize("subject", [POLYGON], ids=["polygon"])
async def test_the_next_page_at_a_foreign_host(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Stranger() as stranger:
        monkeypatch.setattr(trouble, "FOREIGN", stranger.url)
        case.script("foreign_next")
        # the way that it names is asked for at our own vendor, where it is a page that we have had
        assert await case.ask() <= 3
        assert isinstance(case.error, Malformed)
        assert stranger.connections == 0


@pytest.mark.parametrize("subject", [POLYGON], ids=["polygon"])
@pytest.mark.parametrize("host", ["{stranger}", "http://127.0.0.1@{host}", "//{host}", "{stranger}:/x@"])
async def test_right_pages_with_foreign_hosts(case: Case, host: str) -> None:
    truth = Truth(case.emulator.views, case.subject).bars([SYMBOL], "1m", LONG, now_ns=NOON_NS)
    async with Stranger() as stranger:
        foreign = host.format(stranger=stranger.url, host=stranger.url.removeprefix("http://"))

        def turn(body: Any) -> Any:
            # the way may lead nowhere there either: that is said in plain text
            if isinstance(body, dict) and "next_url" in body:
                body["next_url"] = body["next_url"].replace("https://api.massive.com", foreign)
            return body

        case.script("mutate", change=turn)
        took = await case.ask("bars", LONG)
        assert stranger.connections == 0
        if case.error is None:
            assert took > 1
            assert not first_difference(case.answer, truth)
        else:
            assert isinstance(case.error, Malformed | BadRequest | NotFound)
