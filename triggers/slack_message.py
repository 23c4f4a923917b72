"""From a rendered `slack` action to a call of `chat.postMessage`, and from Slack's answer to a verdict. Pure, but for
asking for the token.

Source: https://docs.slack.dev/reference/methods/chat.postMessage
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from retrain.errors import ConfigError, NotFound, Permanent, Transient
from retrain.events import JsonValue
from triggers.action_fields import Fields, Redaction, as_object, as_text, check_line, fields_of, shown
from triggers.port import Firing, RetryAfter, Secrets

FIELDS = frozenset({"slackToken", "channel", "message", "attachments", "blocks", "thread", "sender"})
AGAIN = frozenset({"ratelimited", "rate_limited", "internal_error", "fatal_error", "request_timeout"})
AGAIN_TOO = frozenset({"service_unavailable", "team_added_to_org", "accesslimited"})
"""Slack's errors that pass; every other one (`channel_not_found`, `invalid_auth`, ...) stays."""
MAX_TEXT = 40_000
"""Characters of a message; Slack cuts off what is longer, without a word."""
MAX_BLOCKS = 50
MAX_CALL = 1024 * 1024
PAUSE_S = 30.0
"""How long to wait when Slack says that we call too often, and not for how long."""


@dataclass(frozen=True, slots=True)
class SlackRequest:
    """The call. `thread`: the key whose messages stand in one thread, empty for a message of its own."""

    token: str = field(repr=False)
    body: Mapping[str, JsonValue]
    thread: str
    broadcast: bool
    redact: Redaction

    @property
    def place(self) -> tuple[str, str, str]:
        """What tells one thread from another."""
        return self.token, str(self.body["channel"]), self.thread


def build_request(firing: Firing, secrets: Secrets) -> SlackRequest:
    """The call of a `slack` firing, with the token looked up now.

    Raises:
        Permanent: the action is no message, or the secret is missing.
    """
    fields = fields_of(firing, "slack", secrets)
    fields.only(FIELDS)
    body = _body(fields)
    thread = as_object(fields.action.get("thread"), "slack.thread")
    try:
        token = fields.secret(fields.action.get("slackToken"), "slackToken")
    except (ConfigError, NotFound) as error:
        raise Permanent(str(error)) from error
    if not token:
        raise Permanent("slack.slackToken is missing: name the secret that holds the app's token")
    if len(orjson.dumps(body)) > MAX_CALL:
        raise Permanent(f"the slack message is larger than {MAX_CALL} bytes")
    return SlackRequest(
        token=check_line(token, "slack.slackToken"),
        body=body,
        thread=as_text(thread.get("messageAggregationKey") or ""),
        broadcast=thread.get("broadcastMessageToChannel") in (True, "true"),
        redact=fields.redaction(),
    )


def judge(status: int, retry_after: float | None, answer: JsonValue) -> str:
    """The `ts` of the message that was posted.

    Raises:
        Transient: try again (`RetryAfter` where Slack says when).
        Permanent: the answer would be the same.
    """
    told = answer if isinstance(answer, dict) else {}
    if 200 <= status < 300 and told.get("ok") is True:
        return as_text(told.get("ts") or "")
    error = told.get("error")
    said = f"slack answered {status}" + (f": {shown(error)}" if error else "")
    if detail := _detail(told):
        said += f" ({detail})"
    if status == 429 or error in ("ratelimited", "rate_limited"):
        raise RetryAfter(said, PAUSE_S if retry_after is None else retry_after)
    if status >= 500 or error in AGAIN | AGAIN_TOO or (200 <= status < 300 and not told):
        raise Transient(said) if retry_after is None else RetryAfter(said, retry_after)
    raise Permanent(said)


def _detail(told: Mapping[str, JsonValue]) -> str:
    """What else Slack says: which right is missing, or what is wrong with the blocks."""
    messages = as_object(told.get("response_metadata"), "slack.response_metadata").get("messages")
    parts = [f"needs {shown(told['needed'])}"] if told.get("needed") else []
    if isinstance(messages, list):
        parts += [shown(one) for one in messages[:3]]
    return "; ".join(parts)


def _body(fields: Fields) -> dict[str, JsonValue]:
    body: dict[str, JsonValue] = {"channel": check_line(fields.required("channel"), "slack.channel")}
    if text := fields.text("message"):
        if len(text) > MAX_TEXT:
            raise Permanent(f"slack.message has {len(text)} characters; Slack cuts it off after {MAX_TEXT}")
        body["text"] = text
    for name in ("attachments", "blocks"):
        if (items := _json_list(fields, name)) is not None:
            body[name] = items
    if len(body) == 1:
        raise Permanent("slack has nothing to post: write a message, attachments or blocks")
    return body | _sender(fields)


def _json_list(fields: Fields, name: str) -> list[JsonValue] | None:
    """Upstream's are texts of JSON; a parameter with `useRawData` may have put the list itself there."""
    value = fields.action.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise Permanent(f"slack.{name} is no JSON: {error}") from error
    if not isinstance(value, list):
        raise Permanent(f"slack.{name} must be a list, not {type(value).__name__}")
    if name == "blocks" and len(value) > MAX_BLOCKS:
        raise Permanent(f"slack.blocks has {len(value)} blocks; Slack takes {MAX_BLOCKS}")
    return value


def _sender(fields: Fields) -> dict[str, JsonValue]:
    sender = as_object(fields.action.get("sender"), "slack.sender")
    shape: dict[str, JsonValue] = {}
    if name := as_text(sender.get("username") or ""):
        shape["username"] = name
    if icon := as_text(sender.get("icon") or ""):
        shape["icon_url" if icon.startswith(("http://", "https://")) else "icon_emoji"] = icon
    return shape
