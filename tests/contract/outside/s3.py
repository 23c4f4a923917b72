"""A bucket of a server that speaks S3's protocol, found by listing. (With a queue beside it: test_source_s3.py.)"""

from __future__ import annotations

from typing import Any

from tests.contract.outside import minio


class Outside(minio.Outside):
    kind = "s3"
    nowhere = {"endpoint": "http://127.0.0.1:1"}

    def entry(self) -> dict[str, Any]:
        return {
            "endpoint": f"http://{self.running.endpoint}",
            "region": "us-east-1",
            "bucket": {"name": self.bucket},
            "accessKey": {"name": "minio", "key": "access"},
            "secretKey": {"name": "minio", "key": "secret"},
            "reconcile": {"every": "1s"},
        }
