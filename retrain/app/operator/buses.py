"""Which bus an EventBus of a cluster means for this platform, which has one: that named `default`. Pure.

What Argo Events would run itself (NATS Streaming, JetStream) is the platform's own bus. A JetStream that is there
already is used as it is named, with the credentials of its Secret. What is not built is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from retrain.app.operator.said import Said
from retrain.app.operator.watched import Object
from retrain.bus.settings import BusSettings
from retrain.errors import ConfigError

DEFAULT = "default"
OWN = ("native", "jetstream")
CONDITION = "Deployed"


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a Secret."""

    secret: str
    key: str


@dataclass(frozen=True, slots=True)
class Bus:
    """A bus that is there: its address and the Secrets that hold what it wants of a client.

    `url` "": the platform's own. `access`: user and password, or token. `ca`, `cert`, `private`: PEM, for TLS.
    """

    url: str = ""
    access: Key | None = None
    ca: Key | None = None
    cert: Key | None = None
    private: Key | None = None
    insecure: bool = False

    @property
    def own(self) -> bool:
        return not self.url


@dataclass(frozen=True, slots=True)
class Meant:
    """What an EventBus means: a bus, or why there is none."""

    bus: Bus | None
    refused: str = ""


def meant(found: Object) -> Meant:
    """What an EventBus asks for."""
    spec = _mapping(found.get("spec"))
    if "jetstream" in spec or "native" in _mapping(spec.get("nats")):
        return Meant(Bus())
    if "jetstreamExotic" in spec:
        return _exotic(_mapping(spec["jetstreamExotic"]))
    if "kafka" in spec:
        return Meant(None, "spec.kafka: a bus on Kafka is not built; write jetstream, or jetstreamExotic with its url")
    if "exotic" in _mapping(spec.get("nats")):
        return Meant(None, "spec.nats.exotic: NATS Streaming is no longer made; write jetstreamExotic with its url")
    return Meant(None, "spec: names no bus; there are jetstream, jetstreamExotic, nats.native")


def _exotic(spec: Mapping[str, Any]) -> Meant:
    url = spec.get("url")
    if not isinstance(url, str) or not url:
        return Meant(None, "spec.jetstreamExotic.url: is missing; nats://HOST:4222, several with commas between")
    tls = _mapping(spec.get("tls"))
    cert, private = _key(tls.get("clientCertSecret")), _key(tls.get("clientKeySecret"))
    if (cert is None) != (private is None):
        return Meant(None, "spec.jetstreamExotic.tls: clientCertSecret and clientKeySecret go together")
    if tls:
        url = url.replace("nats://", "tls://")  # what is to be TLS is never said in the clear
    ca, insecure = _key(tls.get("caCertSecret")), tls.get("insecureSkipVerify") is True
    return Meant(Bus(url, _key(spec.get("accessSecret")), ca, cert, private, insecure))


def _key(selector: Any) -> Key | None:
    found = _mapping(selector)
    return Key(str(found.get("name") or ""), str(found.get("key") or "")) if found else None


def chosen(buses: Sequence[Object]) -> Bus:
    """The bus that a platform has which watches these: that of the EventBus `default`, if it is the only one that says
    something else than the platform's own."""
    found = {bus for one in buses if _name(one) == DEFAULT and (bus := meant(one).bus) is not None}
    return found.pop() if len(found) == 1 else Bus()


def credentials(text: str) -> dict[str, str]:
    """What Argo Events' access secrets hold: `username` and `password`, or a `token`, as YAML.

    Raises:
        ConfigError: it holds neither. The message shows nothing of it.
    """
    try:
        read = _mapping(yaml.safe_load(text))
    except yaml.YAMLError:
        raise ConfigError("the access secret is not YAML; it holds username and password, or token") from None
    if isinstance(read.get("token"), str):
        return {"token": read["token"]}
    if isinstance(read.get("username"), str) and isinstance(read.get("password"), str):
        return {"user": read["username"], "password": read["password"]}
    raise ConfigError("the access secret has neither username and password nor token")


def settings_of(bus: Bus, secret: str | None, files: Mapping[str, Path], settings: BusSettings) -> BusSettings:
    """The platform's settings with this bus. `files`: those of `ca_file`, `cert_file` and `key_file` that it names.

    Raises:
        ConfigError: the credentials cannot be used.
    """
    if bus.own:
        return settings
    given: dict[str, Any] = credentials(secret) if secret is not None else {}
    given |= {"url": bus.url, "insecure_skip_verify": bus.insecure, **files}
    return BusSettings.model_validate({**settings.model_dump(), **given})


@dataclass(frozen=True, slots=True)
class InUse:
    """The bus that this platform runs on since its start. `by_setting`: RETRAIN_BUS_URL has the last word."""

    bus: Bus = field(default_factory=Bus)
    by_setting: bool = False

    async def settle(self, buses: Sequence[Object]) -> list[Said]:
        """What is to be said of each EventBus; there is nothing to do about one."""
        after = chosen(buses)
        return [self._said(one, after) for one in buses]

    def _said(self, found: Object, after: Bus) -> Said:
        """`after`: the bus that a restart would come to."""
        wants = meant(found)
        if wants.bus is None:
            return _say(found, "NotBuilt", wants.refused, warning=True)
        if self.by_setting:
            return _say(found, "BySetting", "RETRAIN_BUS_URL says which bus there is; this object changes nothing")
        if _name(found) != DEFAULT and wants.bus != self.bus:
            message = f"a platform has one bus, that of the EventBus named {DEFAULT!r}; this one is not used"
            return _say(found, "OneBus", message, warning=True)
        if wants.bus not in (self.bus, after):
            message = (
                f"several EventBuses named {DEFAULT!r} name several buses, and a platform has one: {self._words()}"
            )
            return _say(found, "OneBus", message, warning=True)
        if wants.bus != self.bus:
            message = f"the platform runs on {self._words()}; restart it to use this one (what waits stays there)"
            return _say(found, "RestartNeeded", message, warning=True)
        return _say(found, "Running", f"this is {self._words()}")

    def _words(self) -> str:
        return "the platform's own JetStream" if self.bus.own else f"the JetStream at {_shown(self.bus.url)}"


def _shown(url: str) -> str:
    """Addresses without the credentials that they may hold."""
    return ",".join(re.sub(r"//[^/@]*@", "//", one.strip()) for one in url.split(","))


OWN_BUS = InUse()
"""What a platform has that nobody has told of another one."""


def _say(found: Object, reason: str, message: str, *, warning: bool = False) -> Said:
    namespace = str(found["metadata"].get("namespace", ""))
    return Said("EventBus", namespace, _name(found), CONDITION, reason, message, warning, status=not warning)


def _name(found: Object) -> str:
    return str(found["metadata"]["name"])


def _mapping(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
