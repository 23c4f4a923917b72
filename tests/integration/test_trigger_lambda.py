"""The `awsLambda` trigger: against moto's AWS for what that has, and against a real HTTP receiver that speaks Lambda's
Invoke for what a function may answer."""

from __future__ import annotations

import io
import zipfile
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from typing import Any

import boto3
import orjson
import pytest
import requests
from aiohttp import web
from moto.server import ThreadedMotoServer

from retrain.errors import Permanent, Transient
from tests.servers.acting import a_firing, act, opened, tools
from triggers import Tools

pytestmark = pytest.mark.integration

SECRETS = {"aws": {"access": "AKIAEXAMPLE00", "secret": "secret-48151623"}}
KEYS = {"accessKey": {"name": "aws", "key": "access"}, "secretKey": {"name": "aws", "key": "secret"}}
ROLE = "arn:aws:iam::123456789012:role/train"


def invoke(**more: Any) -> dict[str, Any]:
    return {"kind": "awsLambda", "functionName": "train", "region": "eu-central-1", "payload": {"n": 1}} | KEYS | more


# ---- moto's AWS ----


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """Moto's AWS, with a function `train`. Without Docker it does not run: it answers what it was given."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    try:
        config = {"lambda": {"use_docker": False}}
        requests.post(f"{url}/moto-api/config", json=config, timeout=5).raise_for_status()
        with closing(_client("iam", url)) as iam, closing(_client("lambda", url)) as functions:
            iam.create_role(RoleName="train", AssumeRolePolicyDocument="{}")
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                archive.writestr("main.py", "def handler(event, context): return event")
            functions.create_function(
                FunctionName="train",
                Runtime="python3.11",
                Role=ROLE,
                Handler="main.handler",
                Code={"ZipFile": packed.getvalue()},
            )
        yield url
    finally:
        server.stop()


def _client(service: str, url: str) -> Any:
    login = {"aws_access_key_id": "AKIAEXAMPLE00", "aws_secret_access_key": "x"}
    return boto3.client(service, region_name="eu-central-1", endpoint_url=url, **login)


async def test_a_function_is_invoked_with_its_keys_or_with_those_of_a_role(aws: str) -> None:
    plain = await act(invoke(), tools(SECRETS, aws_url=aws))
    with_role = await act(invoke(roleARN=ROLE), tools(SECRETS, aws_url=aws))
    queued = await act(invoke(invocationType="Event"), tools(SECRETS, aws_url=aws))

    assert plain["status"] == 200
    assert plain["payload"] == '{"n":1}'
    assert with_role == plain
    assert queued["status"] == 202


# ---- what a function may answer ----


@dataclass
class Lambda:
    """A receiver of invocations. `answer`: status, headers and body of what it says."""

    url: str = ""
    answer: tuple[int, dict[str, str], Any] = (200, {"X-Amz-Executed-Version": "$LATEST"}, {"ok": True})
    calls: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)

    async def handle(self, request: web.Request) -> web.Response:
        self.calls.append((request.path, dict(request.headers), await request.read()))
        self.connections.add(request.transport)
        status, headers, body = self.answer
        return web.Response(status=status, headers=headers, body=orjson.dumps(body))

    @property
    def tools(self) -> Tools:
        return tools(SECRETS, aws_url=self.url)


@asynccontextmanager
async def functions() -> AsyncIterator[Lambda]:
    one = Lambda()
    runner = web.ServerRunner(web.Server(one.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield one
    finally:
        await runner.cleanup()


async def test_a_function_gets_the_payload_and_the_firings_id_and_its_answer_is_kept() -> None:
    async with functions() as aws, opened("awsLambda", aws.tools) as trigger:
        results = [await trigger.fire(a_firing(invoke(), n), 1) for n in range(3)]

    path, headers, body = aws.calls[0]
    assert path == "/2015-03-31/functions/train/invocations"
    assert body == b'{"n":1}'
    assert headers["X-Amz-Invocation-Type"] == "RequestResponse"
    context = orjson.loads(b64decode(headers["X-Amz-Client-Context"]))
    assert context == {"custom": {"retrain-firing": a_firing({}, 0).id}}
    assert "AKIAEXAMPLE00" in headers["Authorization"]
    assert results == [{"status": 200, "payload": '{"ok":true}', "version": "$LATEST"}] * 3
    assert len(aws.connections) == 1, "one for the first, and it is used again"


async def test_a_function_that_fails_is_a_failure_though_its_status_is_200() -> None:
    async with functions() as aws:
        body = {"errorType": "ValueError", "errorMessage": "no data", "stackTrace": []}
        aws.answer = (200, {"X-Amz-Function-Error": "Unhandled"}, body)

        with pytest.raises(Transient, match=r"the function failed \(Unhandled\): ValueError: no data"):
            await act(invoke(), aws.tools)


async def test_a_status_that_the_policy_does_not_have_is_tried_again() -> None:
    async with functions() as aws:
        aws.answer = (202, {}, {})
        queued = await act(invoke(invocationType="Event", policy={"status": {"allow": [202]}}), aws.tools)

        with pytest.raises(Transient, match=r"answered 202, which policy.status.allow \(200\) does not have"):
            await act(invoke(invocationType="Event", policy={"status": {"allow": [200]}}), aws.tools)

    assert queued["status"] == 202
    assert aws.calls[0][1]["X-Amz-Invocation-Type"] == "Event"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "ResourceNotFoundException", Permanent),
        (403, "AccessDeniedException", Permanent),
        (400, "InvalidRequestContentException", Permanent),
        (429, "TooManyRequestsException", Transient),
        (409, "ResourceConflictException", Transient),
        (502, "ResourceNotReadyException", Transient),
        (500, "ServiceException", Transient),
    ],
)
async def test_what_aws_refuses_is_final_and_what_passes_is_tried_again(status: int, code: str, kind: type) -> None:
    async with functions() as aws:
        aws.answer = (status, {"x-amzn-ErrorType": code}, {"message": "because of secret-48151623"})

        with pytest.raises(kind, match=f"AWS answered {status} {code}: because of \\*\\*\\*"):
            await act(invoke(), aws.tools)

    assert len(aws.calls) == 1  # the library's own retries are off: ours are written down


async def test_an_answer_that_repeats_a_secret_is_blacked_out_and_a_long_one_cut() -> None:
    async with functions() as aws:
        aws.answer = (200, {}, "secret-48151623" + "x" * 10_000)

        result = await act(invoke(), aws.tools)

    assert result["payload"].startswith('"***xxx')
    assert result["truncated"] is True


async def test_aws_that_is_away_is_tried_again() -> None:
    async with functions() as aws:
        pass

    with pytest.raises(Transient, match="Could not connect"):
        await act(invoke(), aws.tools)
