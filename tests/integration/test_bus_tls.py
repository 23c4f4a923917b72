"""The bus on a NATS server with TLS of its own authority, which wants a certificate of its clients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from retrain.bus import BusSettings, open_nats
from retrain.errors import BusError, ConfigError
from retrain.events import Event
from tests.servers import brokers
from tests.servers.certificates import Authority

pytestmark = pytest.mark.integration

EVENT = Event(id="1", source="shop", type="t")
PLAIN = "authorization { user: ann, password: hunter22 }\n"


@dataclass
class Secured:
    """The server's address without a scheme, and what its clients need."""

    address: str
    folder: Path

    def settings(self, **more: object) -> BusSettings:
        files = {name: self.folder / file for name, file in FILES.items()}
        return BusSettings.model_validate({**files, "connect_timeout_s": 20, **more})


FILES = {"ca_file": "ca.pem", "cert_file": "client.pem", "key_file": "client.key"}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority()
    (folder / "ca.pem").write_text(authority.cert)
    cert, key = authority.sign().write(folder, "server")
    authority.sign("retrain").write(folder, "client")
    conf = f'tls {{ cert_file: "{cert}", key_file: "{key}", ca_file: "{folder}/ca.pem", verify: true }}\n'
    with brokers.nats_server(folder / "data", conf) as server:
        yield Secured(server.address, folder)


@pytest.mark.parametrize("scheme", ["nats", "tls"])
async def test_events_go_over_tls_and_both_sides_show_who_they_are(secured: Secured, scheme: str) -> None:
    async with open_nats(f"{scheme}://{secured.address}", secured.settings()) as bus:
        await bus.publish(EVENT)
        records = await bus.read(0, limit=10)

    assert {record.event.id for record in records} == {"1"}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"ca_file": None}, "certificate verify failed"),  # what this machine trusts
        ({"cert_file": None, "key_file": None}, "Connection lost|certificate"),
    ],
)
async def test_who_cannot_be_trusted_is_said(secured: Secured, more: dict[str, object], says: str) -> None:
    with pytest.raises(BusError, match=says):
        async with open_nats(f"tls://{secured.address}", secured.settings(**more, connect_timeout_s=4)):
            pass


async def test_any_certificate_is_taken_where_somebody_wants_that(secured: Secured) -> None:
    settings = secured.settings(ca_file=None, insecure_skip_verify=True)
    async with open_nats(f"tls://{secured.address}", settings) as bus:
        await bus.publish(EVENT)


@pytest.mark.parametrize("asks", ["tls://", "nats://"])
async def test_nothing_is_said_to_a_server_that_takes_it_in_the_clear(
    secured: Secured, tmp_path: Path, asks: str
) -> None:
    log = tmp_path / "nats.log"
    with brokers.nats_server(tmp_path / "data", f'{PLAIN}trace: true\nlog_file: "{log}"\n') as server:
        settings = secured.settings(user="ann", password="hunter22", connect_timeout_s=5)
        with pytest.raises(BusError, match="does not insist on TLS"):
            async with open_nats(f"{asks}{server.address}", settings):
                pass
        assert "CONNECT" not in log.read_text()


async def test_files_are_read_anew_with_each_connection(secured: Secured, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(Authority().cert)
    settings = secured.settings(ca_file=ca, connect_timeout_s=4)
    with pytest.raises(BusError, match="certificate verify failed"):
        async with open_nats(f"tls://{secured.address}", settings):
            pass

    ca.write_text((secured.folder / "ca.pem").read_text())
    async with open_nats(f"tls://{secured.address}", settings.model_copy(update={"connect_timeout_s": 20})) as bus:
        await bus.publish(EVENT)


@pytest.mark.parametrize("name", FILES)
async def test_files_that_can_never_work_are_said_at_once(secured: Secured, tmp_path: Path, name: str) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("hunter22")
    for file in (wrong, tmp_path / "nowhere.pem"):
        with pytest.raises(ConfigError, match=r"bus (ca_file|cert_file and key_file): .*\.pem") as refused:
            async with open_nats(f"tls://{secured.address}", secured.settings(**{name: file})):
                pass
        assert "hunter22" not in str(refused.value)
