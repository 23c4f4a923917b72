"""The `slack` trigger against a real HTTP receiver that speaks as Slack's Web API does."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog
from aiohttp import web

from retrain.errors import Permanent, Transient
from tests.servers.acting import FAST, a_firing, a_row, act, dispatching, ended, hand_over, opened, tools
from triggers import RetryAfter, Tools

pytestmark = pytest.mark.integration

TOKEN = "xoxb-48151623"
REF = {"name": "slack", "key": "token"}


@dataclass
class Workspace:
    """What was posted. `answers`: what it says next, `(status, headers, body)`; then every message is taken."""

    url: str = ""
    posts: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    answers: deque[tuple[int, dict[str, str], Any]] = field(default_factory=deque)
    gate: anyio.Event | None = None

    async def handle(self, request: web.Request) -> web.Response:
        assert request.path == "/api/chat.postMessage"
        self.tokens.append(request.headers["Authorization"])
        body = await request.json()
        if self.answers:
            status, headers, answer = self.answers.popleft()
            if isinstance(answer, str):
                return web.Response(status=status, headers=headers, text=answer)
            return web.json_response(answer, status=status, headers=headers)
        self.posts.append(body)
        if self.gate is not None:
            await self.gate.wait()
        return web.json_response({"ok": True, "channel": "C123", "ts": f"1700000000.{len(self.posts):06}"})

    @property
    def tools(self) -> Tools:
        return tools({"slack": {"token": TOKEN}}, slack_url=self.url)


@asynccontextmanager
async def workspace() -> AsyncIterator[Workspace]:
    one = Workspace()
    runner = web.ServerRunner(web.Server(one.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
    try:
        yield one
    finally:
        await runner.cleanup()


def post(**more: Any) -> dict[str, Any]:
    return {"kind": "slack", "slackToken": REF, "channel": "#models", "message": "A new model"} | more


async def test_a_message_is_posted_with_its_sender_blocks_and_attachments() -> None:
    async with workspace() as slack:
        result = await act(
            post(
                blocks='[{"type": "divider"}]',
                attachments=[{"text": "f1"}],
                sender={"username": "Retrain", "icon": ":robot_face:"},
            ),
            slack.tools,
        )
        await act(post(sender={"icon": "https://example.com/a.png"}), slack.tools)

    assert slack.posts[0] == {
        "channel": "#models",
        "text": "A new model",
        "blocks": [{"type": "divider"}],
        "attachments": [{"text": "f1"}],
        "username": "Retrain",
        "icon_emoji": ":robot_face:",
    }
    assert slack.posts[1]["icon_url"] == "https://example.com/a.png"
    assert slack.tokens == [f"Bearer {TOKEN}"] * 2
    assert result == {"channel": "C123", "ts": "1700000000.000001"}


async def test_messages_with_one_key_stand_in_one_thread_also_when_they_come_at_once() -> None:
    thread = {"messageAggregationKey": "churn", "broadcastMessageToChannel": True}
    async with workspace() as slack, opened("slack", slack.tools) as trigger:
        slack.gate = anyio.Event()
        results: list[Any] = []

        async def fire(n: int, action: dict[str, Any]) -> None:
            results.append(await trigger.fire(a_firing(action, n), 1))

        async with anyio.create_task_group() as group:
            for n in range(5):
                group.start_soon(fire, n, post(thread=thread))
            with anyio.fail_after(5):
                while not slack.posts:  # noqa: ASYNC110 - the receiver tells nobody
                    await anyio.sleep(0.01)
            slack.gate.set()
        await fire(9, post(thread={"messageAggregationKey": "other"}))

    first, *replies, other = slack.posts
    assert "thread_ts" not in first
    assert "thread_ts" not in other
    assert [reply["thread_ts"] for reply in replies] == ["1700000000.000001"] * 4
    assert all(reply["reply_broadcast"] for reply in replies)
    assert [result.get("thread") for result in results].count(None) == 2


@pytest.mark.parametrize("error", ["channel_not_found", "invalid_auth", "not_in_channel", "msg_too_long"])
async def test_no_is_final_though_its_status_is_200(error: str) -> None:
    async with workspace() as slack:
        slack.answers.append((200, {}, {"ok": False, "error": error, "needed": "chat:write"}))

        with pytest.raises(Permanent, match=rf"slack answered 200: {error} \(needs chat:write\)"):
            await act(post(), slack.tools)


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        ((429, {"Retry-After": "17"}, {"ok": False, "error": "ratelimited"}), 17),
        ((200, {}, {"ok": False, "error": "ratelimited"}), 30),
        ((200, {}, {"ok": False, "error": "internal_error"}), None),
        ((503, {}, "<html>"), None),
        ((200, {}, "<html>not Slack"), None),
    ],
)
async def test_later_is_tried_again_when_slack_says(answer: Any, wait: float | None) -> None:
    async with workspace() as slack:
        slack.answers.append(answer)

        with pytest.raises(Transient) as caught:
            await act(post(), slack.tools)

    assert (caught.value.after_s if isinstance(caught.value, RetryAfter) else None) == wait


async def test_the_token_stands_in_no_firing_result_or_log_line(tmp_path: Path) -> None:
    async with workspace() as slack:
        slack.answers.append(
            (200, {}, {"ok": False, "error": "internal_error", "response_metadata": {"messages": [TOKEN]}})
        )
        with structlog.testing.capture_logs() as logged:
            async with dispatching(tmp_path, slack.tools) as (store, dispatcher):
                await hand_over(store, dispatcher, [a_row(1, post(retryStrategy=FAST))])
                row = await ended(store, 1)

    assert (row.state, row.attempts) == ("done", 2)
    everything = repr((row, logged)) + (tmp_path / "store.db").read_bytes().decode("latin1")
    assert TOKEN not in everything


async def test_a_workspace_that_is_away_is_tried_again() -> None:
    async with workspace() as slack:
        pass

    with pytest.raises(Transient, match="slack: no answer"):
        await act(post(), slack.tools)
