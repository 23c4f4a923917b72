"""What the user may set about the bus: one group of the platform's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

DAY_S = 86_400.0

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class BusSettings(BaseModel):
    """Where the bus is and how it behaves.

    `url`: one or several NATS URLs with commas between; None starts the embedded server. `sync` is what the embedded
    server does before it acknowledges: "interval" writes to the file system (safe from `kill -9`), "always" also waits
    for the disk (safe from a power cut). Another server's own configuration decides that for itself.

    `ca_file`, `cert_file` and `key_file` (PEM) are for servers with TLS: whom to trust, in the place of what this
    machine trusts, and what to show. With any of them, or a `tls://` address, nothing is said in the clear.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str | None = None
    credentials_file: Path | None = None
    token: SecretStr | None = None
    user: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    insecure_skip_verify: bool = False
    stream: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "RETRAIN"
    replicas: Annotated[int, Field(ge=1, le=5)] = 1
    duplicate_window_s: Seconds = 600.0
    max_age_s: Seconds = 30 * DAY_S
    publish_timeout_s: Seconds = 5.0
    read_timeout_s: Seconds = 10.0
    connect_timeout_s: Seconds = 10.0
    max_waiting_bytes: Annotated[int, Field(ge=1)] = 64 * 1024 * 1024
    sync: Literal["interval", "always"] = "interval"

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.duplicate_window_s > self.max_age_s:
            raise ValueError("duplicate_window_s is longer than max_age_s: what is gone cannot be recognised again")
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together")
        if sum(item is not None for item in (self.credentials_file, self.token, self.user)) > 1:
            raise ValueError("give one of credentials_file, token, or user and password")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        return self

    @property
    def secured(self) -> bool:
        """Whether the settings say something of TLS."""
        return self.ca_file is not None or self.cert_file is not None or self.insecure_skip_verify
