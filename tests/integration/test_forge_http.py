"""What forges answer when they do not do what is asked, over a real connection: told apart, without secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime

import anyio
import pytest
from aiohttp import web

from deploy.forges import AuthFailed, Declined, Forge, Opening, RateLimited, Rejected, open_forge
from deploy.forges.http import MAX_ANSWER, MAX_WAIT_S, failure
from retrain.errors import ConfigError, NotFound, Transient
from tests.contract.forge_shapes import GitHubShape
from tests.contract.forge_world import TOKEN, ShapeOutside, shaped
from tests.servers.launch import free_port

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
async def github() -> AsyncIterator[ShapeOutside]:
    async with shaped({"forge": "github", "repository": "acme/deploy"}, GitHubShape()) as made:
        yield made


@pytest.fixture
async def forge(github: ShapeOutside) -> AsyncIterator[Forge]:
    async with open_forge(github.spec, github.secrets.vault, pauses_s=(0.01, 0.01)) as made:
        yield made


@pytest.mark.parametrize(
    ("status", "headers", "said", "kind"),
    [
        (401, {}, "Bad credentials", AuthFailed),
        (403, {}, "Resource not accessible by personal access token", AuthFailed),
        (404, {}, "Not Found", NotFound),
        (405, {}, "no", Declined),
        (409, {}, "no", Declined),
        (422, {}, "no", Declined),
        (423, {}, "the repository is archived", Declined),
        (301, {"location": "https://elsewhere/"}, "Moved", Rejected),
        (408, {}, "", Transient),
        (429, {}, "", RateLimited),
        (403, {"x-ratelimit-remaining": "0"}, "API rate limit exceeded", RateLimited),
        (403, {"retry-after": "7"}, "You have exceeded a secondary rate limit", RateLimited),
        (500, {}, "", Transient),
        (502, {}, "", Transient),
        (555, {}, "the merge took too long", Transient),
    ],
)
def test_each_status_means_one_error(status: int, headers: dict[str, str], said: str, kind: type[Exception]) -> None:
    told = failure("GET https://x/y", status, headers, said, NOW)

    assert type(told) is kind
    assert str(status) in str(told)
    assert said in str(told)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": format_datetime(NOW.replace(minute=2), usegmt=True)}, 120),
        ({"retry-after": "soon"}, 60),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) + 90)}, 90),
        ({"ratelimit-reset": str(int(NOW.timestamp()) - 90)}, 1),
        ({"retry-after": "99999999"}, MAX_WAIT_S),
        ({}, 60),
    ],
)
def test_a_forge_that_has_had_enough_says_for_how_long(headers: dict[str, str], wait_s: float) -> None:
    told = failure("GET https://x/y", 429, headers, "", NOW)

    assert isinstance(told, RateLimited)
    assert told.after_s == wait_s


async def test_what_changes_nothing_is_asked_again_and_what_changes_something_is_not(
    github: ShapeOutside, forge: Forge
) -> None:
    github.next_answers = [web.Response(status=502), web.Response(status=503)]
    head = await forge.head("main")
    asked = len(github.asked)
    github.next_answers = [web.Response(status=502)]
    with pytest.raises(Transient):
        await forge.open(Opening("main", "main", "t", "b"))

    assert head is not None
    assert asked == 3
    assert len(github.asked) == 4


async def test_a_forge_that_is_busy_is_left_alone_for_as_long_as_it_says(github: ShapeOutside, forge: Forge) -> None:
    github.next_answers = [web.Response(status=429, headers={"Retry-After": "31"})]

    with pytest.raises(RateLimited) as told:
        await forge.head("main")

    assert told.value.after_s == 31
    assert len(github.asked) == 1


async def test_a_redirect_is_not_followed_with_the_token(github: ShapeOutside, forge: Forge) -> None:
    where = f"{github.spec.url}/repos/acme/deploy/branches/main"
    github.next_answers = [web.Response(status=301, headers={"Location": where})]

    with pytest.raises(Rejected, match="has moved to"):
        await forge.head("main")

    assert len(github.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(text="<html>proxy</html>"),
        web.Response(body=b"x" * (MAX_ANSWER + 1)),
        web.Response(body=b"\x1f\x8b" + b"\0" * 50, headers={"Content-Encoding": "gzip"}),
    ],
    ids=["html", "too long", "packed"],
)
async def test_an_answer_that_is_none_is_asked_for_again_later(
    github: ShapeOutside, forge: Forge, answer: web.Response
) -> None:
    github.next_answers = [web.Response(status=500), web.Response(status=500), answer]

    with pytest.raises(Transient):
        await forge.head("main")


@pytest.mark.parametrize("answer", [b"[]", b"{}", b'"text"', b"null", b"3", b'{"number": "x", "head": [], "state": 7}'])
async def test_json_of_another_shape_is_no_crash(github: ShapeOutside, forge: Forge, answer: bytes) -> None:
    github.next_answers = [web.Response(body=answer), web.Response(body=answer)]

    shown = await forge.state(1)

    assert (shown.number, shown.state, shown.mergeable) == (0, "closed", "unknown")


async def test_a_server_that_shows_our_token_in_its_words_does_not_get_it_into_ours(
    github: ShapeOutside, forge: Forge
) -> None:
    github.next_answers = [web.json_response({"message": f"who is Bearer {TOKEN}\nAnd\r more"}, status=403)]

    with pytest.raises(AuthFailed) as told:
        await forge.head("main")

    assert TOKEN not in str(told.value)
    assert "\n" not in str(told.value)
    assert TOKEN not in repr(forge) + repr(vars(forge))


async def test_nobody_there_is_transient(github: ShapeOutside) -> None:
    away = github.spec.model_copy(update={"url": f"http://127.0.0.1:{free_port()}"})

    async with open_forge(away, github.secrets.vault, pauses_s=()) as forge:
        with pytest.raises(Transient, match="cannot be reached"):
            await forge.head("main")


async def test_a_secret_that_is_missing_or_no_token(github: ShapeOutside, forge: Forge) -> None:
    github.secrets.values["forge", "token"] = "two\r\nX-Header: lines"
    with pytest.raises(ConfigError, match="holds no token"):
        await forge.head("main")
    github.secrets.values.clear()
    with pytest.raises(Transient, match="no secret"):
        await forge.head("main")

    assert github.asked == []


async def test_names_cannot_lead_elsewhere(github: ShapeOutside, forge: Forge) -> None:
    """A branch's name is one part of the path, whatever it holds."""
    for name in ("../../../../user", "a/b?x=y", "a#b", "%2e%2e", "a b"):
        assert await forge.head(name) is None
    with pytest.raises(ConfigError):
        await forge.head("..")

    assert all(one.path.startswith("/branches/") for one in github.asked)


async def test_a_user_name_makes_the_token_a_password(github: ShapeOutside) -> None:
    spec = github.spec.model_copy(update={"username": "bot@example.org"})

    async with open_forge(spec, github.secrets.vault) as forge:
        with pytest.raises(AuthFailed):
            await forge.head("main")

    assert github.asked[0].headers["Authorization"].startswith("Basic ")


async def test_a_ca_that_is_none_is_said(github: ShapeOutside) -> None:
    spec = type(github.spec).model_validate(
        {**github.spec.model_dump(), "caCert": {"secretKeyRef": {"name": "forge", "key": "token"}}}
    )

    with pytest.raises(ConfigError, match="holds no certificate"):
        async with open_forge(spec, github.secrets.vault):
            pass


async def test_slow_answers_have_an_end(github: ShapeOutside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.forges.http.TIMEOUT_S", 0.2)

    async with open_forge(github.spec, github.secrets.vault, pauses_s=()) as forge:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        silent = github.spec.model_copy(update={"url": f"http://127.0.0.1:{port}"})
        async with listener, open_forge(silent, github.secrets.vault, pauses_s=()) as waiting:
            with pytest.raises(Transient):
                await waiting.head("main")
        assert await forge.head("main") is not None
