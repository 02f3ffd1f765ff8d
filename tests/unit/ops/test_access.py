"""Who may ask."""

from __future__ import annotations

import base64

import pytest

from ops.access import OPEN_PATHS, Access, is_loopback

TOKEN = "s3cret-tökén"


def basic(password: str, user: str = "anybody") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


GOOD = [f"Bearer {TOKEN}", f"bearer  {TOKEN}", basic(TOKEN), basic(TOKEN, user="")]
BAD = [
    None,
    "",
    "Bearer",
    "Bearer ",
    f"Bearer {TOKEN}x",
    f"Bearer {TOKEN[:-1]}",
    TOKEN,
    f"Digest {TOKEN}",
    basic(""),
    basic(TOKEN + ":"),
    basic("wrong", user=TOKEN),
    "Basic %%%",
    "Basic " + base64.b64encode(b"\xff:\xff").decode(),
    "Bearer \udcff",
]
PATHS = [
    "/",
    "/health",
    "/metrics",
    "/static/x",
    "/nowhere",
    "/livez/",
    "/livez/../metrics",
    "//livez",
    "/READYZ",
]


@pytest.mark.parametrize("authorization", GOOD)
@pytest.mark.parametrize("path", [*PATHS, *sorted(OPEN_PATHS)])
def test_the_token_opens_everything(path, authorization):
    assert Access(["0.0.0.0"], TOKEN).refusal(path, ["any.example"], authorization) is None


@pytest.mark.parametrize("authorization", BAD)
@pytest.mark.parametrize("path", PATHS)
def test_without_it_only_the_probes_answer(path, authorization):
    access = Access(["0.0.0.0"], TOKEN)
    refusal = access.refusal(path, ["127.0.0.1:8000"], authorization)
    assert refusal is not None
    assert refusal.code == 401
    assert any(c.startswith("Bearer ") for c in refusal.challenges)
    assert all(access.refusal(p, ["x"], authorization) is None for p in OPEN_PATHS)


@pytest.mark.parametrize("authorization", [*GOOD, *BAD])
def test_no_token_set_beyond_loopback_lets_nobody_in(authorization):
    refusal = Access(["0.0.0.0"], "").refusal("/", ["127.0.0.1"], authorization)
    assert refusal is not None
    assert refusal.code == 403


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8000", "localhost:1", "LOCALHOST", "[::1]", "[::1]:8000"]
)
def test_loopback_needs_no_token(host):
    assert Access(["127.0.0.1", "localhost"], TOKEN).refusal("/", [host], None) is None


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [""],
        ["evil.example"],
        ["evil.example:8000"],
        ["127.0.0.1.evil.example"],
        ["localhost.evil.example"],
        ["localhost:8000@evil.example"],
        ["localhost."],
        ["::1"],
        ["127.0.0.1", "evil.example"],
        ["127.0.0.1\nx"],
    ],
)
def test_loopback_refuses_other_names(hosts):
    refusal = Access(["127.0.0.1"], "").refusal("/livez", hosts, None)
    assert refusal is not None
    assert refusal.code == 421


def test_one_address_beyond_loopback_is_enough_to_need_the_token():
    assert not Access(["127.0.0.1", "0.0.0.0"], "").loopback
    assert not Access([], "").loopback
    loopback = ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"]
    beyond = ["0.0.0.0", "::", "", "worker-1", "10.0.0.1", "127.0.0.1.nip.io"]
    assert all(map(is_loopback, loopback))
    assert not any(map(is_loopback, beyond))
