"""Amazon SNS, as it posts messages: signed by a certificate of our own, at an endpoint of our own."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from eventsources.http.sns_signature import text_to_sign
from retrain.events import Event
from tests.contract.outside.calling import Called
from tests.servers.certificates import signing_pair
from tests.servers.launch import free_port

TOPIC = "arn:aws:sns:us-east-1:123456789012:models"


class Outside(Called):
    kind = "sns"
    payload = frozenset({"header", "body"})

    def __init__(self, folder: Path, server: Any, version: str) -> None:
        super().__init__(folder, server, version)
        self.key, self.certificate = signing_pair()
        self.endpoint = f"http://127.0.0.1:{free_port()}"

    async def prepare(self) -> None:
        """Serve the certificate, as AWS does."""

        async def certificate(_request: web.Request) -> web.Response:
            return web.Response(text=self.certificate)

        app = web.Application()
        app.router.add_get("/key.pem", certificate)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", int(self.endpoint.rpartition(":")[2])).start()

    async def close(self) -> None:
        await self.runner.cleanup()

    def entry(self) -> dict[str, Any]:
        topic = {"topicArn": TOPIC, "region": "us-east-1", "endpoint": self.endpoint}
        return {**super().entry(), **topic, "validateSignature": True}

    def body(self, name: str) -> Any:
        message = {
            "Type": "Notification",
            "MessageId": f"message-{name}",
            "TopicArn": TOPIC,
            "Message": name,
            "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "SignatureVersion": "2",
            "SigningCertURL": f"{self.endpoint}/key.pem",
        }
        signature = self.key.sign(text_to_sign(message), padding.PKCS1v15(), hashes.SHA256())
        return {**message, "Signature": base64.b64encode(signature).decode()}

    def headers(self, name: str, raw: bytes) -> dict[str, str]:
        return {"Content-Type": "text/plain; charset=UTF-8", "X-Amz-Sns-Message-Type": "Notification"}

    def name_in(self, event: Event) -> str:
        return event.data["body"]["Message"]
