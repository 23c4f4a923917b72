"""The `nats` trigger against real servers: done means that the server has the message."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import nats
import pytest
from nats.js.api import StreamConfig

from retrain.bus.embedded import EmbeddedServer, find_binary, free_port
from retrain.errors import Permanent, Transient
from tests.servers.acting import FAST, a_firing, a_row, act, all_ended, dispatching, ended, hand_over, opened, tools
from tests.servers.certificates import Authority
from tests.servers.launch import wait_until

pytestmark = pytest.mark.integration


def publish(url: str, **more: Any) -> dict[str, Any]:
    return {"kind": "nats", "url": url, "subject": "models.new", "payload": {"n": 1}} | more


@contextmanager
def serving(folder: Path, config: str, port: int | None = None) -> Iterator[int]:
    """A nats-server with this configuration; its port."""
    port = port or free_port()
    file = folder / "nats.conf"
    file.write_text(f'listen: "127.0.0.1:{port}"\n{config}')
    process = subprocess.Popen([find_binary(), "-c", file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _accepts(port, process), f"nats-server on {port}")
        yield port
    finally:
        process.kill()
        process.wait()


def _accepts(port: int, process: subprocess.Popen[bytes]) -> bool:
    import socket

    assert process.poll() is None
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@asynccontextmanager
async def listening(url: str, subject: str, **login: Any) -> AsyncIterator[Any]:
    """A subscription; what was published after it began arrives."""
    client = await nats.connect(url, **login)
    subscription = await client.subscribe(subject)
    await client.flush()
    try:
        yield subscription
    finally:
        await client.close()


async def test_a_message_reaches_its_subscribers_with_the_firings_id(tmp_path: Path) -> None:
    with serving(tmp_path, "") as port:
        url = f"nats://127.0.0.1:{port}"
        async with listening(url, "models.*") as subscription:
            result = await act(publish(url, payload={"model": "churn", "n": [1]}))

            message = await subscription.next_msg(timeout=5)

    assert result == {"subject": "models.new", "bytes": len(message.data)}
    assert message.data == b'{"model":"churn","n":[1]}'
    assert message.headers == {"Nats-Msg-Id": a_firing({}).id}


async def test_a_subject_that_belongs_to_a_stream_is_done_when_the_stream_has_it(nats: EmbeddedServer) -> None:
    import nats as library

    token = nats.token.get_secret_value()
    client = await library.connect(nats.url, token=token)
    await client.jetstream().add_stream(StreamConfig(name="MODELS", subjects=["models.>"]))
    given = tools({"nats": {"token": token}})
    action = publish(nats.url, auth={"token": {"name": "nats", "key": "token"}})

    first = await act(action, given)
    again = await act(action, given)
    other = await act(action, given, n=2)
    info = await client.jetstream().stream_info("MODELS")
    await client.close()

    assert first == {"subject": "models.new", "bytes": 7, "stream": "MODELS", "sequence": 1}
    assert again == first | {"duplicate": True}
    assert other["sequence"] == 2
    assert info.state.messages == 2


async def test_a_stream_that_is_full_is_tried_again(nats: EmbeddedServer) -> None:
    import nats as library
    from nats.js.api import DiscardPolicy

    token = nats.token.get_secret_value()
    client = await library.connect(nats.url, token=token)
    config = StreamConfig(name="ONE", subjects=["one"], max_msgs=1, discard=DiscardPolicy.NEW)
    await client.jetstream().add_stream(config)
    await client.close()
    given = tools({"nats": {"token": token}})
    action = publish(nats.url, subject="one", auth={"token": {"name": "nats", "key": "token"}})
    await act(action, given)

    with pytest.raises(Transient, match="the stream of 'one' refuses: maximum messages exceeded"):
        await act(action, given, n=2)


BASIC = "authorization { users: [{user: ann, password: hunter22, permissions: {publish: [ok, '_INBOX.>', '$JS.>']}}] }"
LOGIN = {"basic": {"username": {"name": "nats", "key": "user"}, "password": {"name": "nats", "key": "password"}}}


async def test_a_login_is_looked_up_and_a_wrong_one_is_final_and_not_shown(tmp_path: Path) -> None:
    with serving(tmp_path, BASIC) as port:
        url = f"nats://127.0.0.1:{port}"

        good = await act(
            publish(url, subject="ok", auth=LOGIN), tools({"nats": {"user": "ann", "password": "hunter22"}})
        )
        with pytest.raises(Permanent, match="the server refused the login") as caught:
            await act(publish(url, auth=LOGIN), tools({"nats": {"user": "ann", "password": "wrong-one"}}))

    assert good["subject"] == "ok"
    assert "wrong-one" not in str(caught.value)


async def test_a_subject_that_the_login_may_not_publish_to_is_final(tmp_path: Path) -> None:
    """The server says so behind the message's back, and answers the PING all the same."""
    with serving(tmp_path, BASIC) as port:
        given = tools({"nats": {"user": "ann", "password": "hunter22"}})
        async with opened("nats", given) as trigger:
            action = publish(f"nats://127.0.0.1:{port}", subject="Not.ok", auth=LOGIN)

            with pytest.raises(Permanent, match=r"this login may not publish to 'Not\.ok'"):
                await trigger.fire(a_firing(action), 1)
            assert await trigger.fire(a_firing(action | {"subject": "ok"}), 1)


async def test_an_nkey_signs_what_the_server_asks(tmp_path: Path) -> None:
    if importlib.util.find_spec("nkeys") is None:
        with pytest.raises(Permanent, match="need the package nkeys"):
            await act(
                publish("nats://127.0.0.1:9", auth={"nkey": {"name": "nats", "key": "seed"}}),
                tools({"nats": {"seed": "SUA"}}),
            )
        return
    import nkeys

    seed = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER)
    public = nkeys.from_seed(seed).public_key.decode()
    with serving(tmp_path, f"authorization {{ users: [{{nkey: {public}}}] }}") as port:
        action = publish(f"nats://127.0.0.1:{port}", auth={"nkey": {"name": "nats", "key": "seed"}})

        assert await act(action, tools({"nats": {"seed": seed.decode()}}))


def tls_config(folder: Path, authority: Authority, *, verify: bool = False) -> str:
    cert, key = authority.sign().write(folder, "server")
    (folder / "ca.pem").write_text(authority.cert)
    more = f'ca_file: "{folder / "ca.pem"}", verify: true' if verify else ""
    return f'tls {{ cert_file: "{cert}", key_file: "{key}", {more} }}'


async def test_tls_checks_the_server_against_the_given_authority(tmp_path: Path) -> None:
    authority = Authority()
    given = tools({"tls": {"ca": authority.cert, "other": Authority().cert}})
    with serving(tmp_path, tls_config(tmp_path, authority)) as port:
        url = f"nats://127.0.0.1:{port}"

        assert await act(publish(url, tls={"caCertSecret": {"name": "tls", "key": "ca"}}), given)
        assert await act(publish(url, tls={"insecureSkipVerify": True}), given)
        with pytest.raises(Permanent, match="certificate is not trusted"):
            await act(publish(url, tls={"caCertSecret": {"name": "tls", "key": "other"}}), given)
        with pytest.raises(Permanent, match="certificate is not trusted"):
            await act(publish(url.replace("nats:", "tls:")), given)


async def test_a_clients_certificate_is_shown_to_a_server_that_asks(tmp_path: Path) -> None:
    authority = Authority()
    mine = authority.sign("retrain")
    given = tools({"tls": {"ca": authority.cert, "cert": mine.cert, "key": mine.key}})
    names = {
        f"{field}Secret": {"name": "tls", "key": key}
        for field, key in (("caCert", "ca"), ("clientCert", "cert"), ("clientKey", "key"))
    }
    with serving(tmp_path, tls_config(tmp_path, authority, verify=True)) as port:
        url = f"nats://127.0.0.1:{port}"

        assert await act(publish(url, tls=names), given)
        with pytest.raises(Transient):
            await act(publish(url, tls={"caCertSecret": names["caCertSecret"]}), given)


async def test_no_login_goes_over_plain_text_where_tls_is_wanted(tmp_path: Path) -> None:
    with serving(tmp_path, BASIC) as port:
        given = tools({"nats": {"user": "ann", "password": "hunter22"}})

        for more in ({"url": f"tls://127.0.0.1:{port}"}, {"tls": {"insecureSkipVerify": True}}):
            with pytest.raises(Permanent, match="TLS is wanted, and the server offers none"):
                await act(publish(f"nats://127.0.0.1:{port}", auth=LOGIN) | more, given)


async def test_a_server_that_is_away_is_tried_again_and_found_when_it_is_back(tmp_path: Path) -> None:
    port = free_port()
    url = f"nats://127.0.0.1:{port}"
    async with dispatching(tmp_path) as (store, dispatcher):
        with serving(tmp_path, "", port):
            await hand_over(store, dispatcher, [a_row(1, publish(url))])
            assert (await ended(store, 1)).state == "done"
        await hand_over(store, dispatcher, [a_row(2, publish(url, retryStrategy={**FAST, "steps": 50}))])
        with anyio.fail_after(10):
            while dispatcher.ended["pending"] < 2:  # noqa: ASYNC110 - the dispatcher tells nobody
                await anyio.sleep(0.01)
        with serving(tmp_path, "", port):
            row = await ended(store, 2)

    assert (row.state, row.error) == ("done", None)
    assert row.attempts > 2


async def test_a_connection_that_breaks_in_the_middle_is_told_at_once(tmp_path: Path) -> None:
    async def swallow(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(b'INFO {"server_id":"x","version":"2.10.0","headers":true,"max_payload":1048576}\r\n')
            await stream.receive()
            await stream.send(b"PONG\r\n")
            await stream.receive()  # the question for the subject's stream, and then nothing more

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with anyio.create_task_group() as group:
        group.start_soon(listener.serve, swallow)
        with anyio.fail_after(1.9), pytest.raises(Transient, match="the connection broke"):
            await act(publish(f"nats://127.0.0.1:{port}"))
        group.cancel_scope.cancel()
    await listener.aclose()


async def test_a_payload_that_the_server_does_not_take_is_final(tmp_path: Path) -> None:
    with serving(tmp_path, "max_payload: 1024\n") as port, pytest.raises(Permanent, match=r"2008 bytes.* takes 1024"):
        await act(publish(f"nats://127.0.0.1:{port}", payload={"x": "y" * 2000}))


async def test_many_firings_share_one_connection(tmp_path: Path) -> None:
    count = 2000
    with serving(tmp_path, "http: 127.0.0.1:0\n") as port:
        url = f"nats://127.0.0.1:{port}"
        async with listening(url, "models.>") as subscription, dispatching(tmp_path) as (store, dispatcher):
            before = await _clients(url)
            await hand_over(store, dispatcher, [a_row(n, publish(url, payload={"n": n})) for n in range(count)])
            counts = await all_ended(store, count)
            messages = [await subscription.next_msg(timeout=5) for _ in range(count)]
            after = await _clients(url)

    assert counts == {"done": count}
    assert {m.headers["Nats-Msg-Id"] for m in messages} == {a_firing({}, n).id for n in range(count)}
    assert after - before == 2  # the trigger's, and the one that asks here


async def _clients(url: str) -> int:
    """The number that the server gives to the next client: it counts them all."""
    client = await nats.connect(url)
    try:
        return client.client_id
    finally:
        await client.close()
