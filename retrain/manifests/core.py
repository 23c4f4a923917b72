"""The kinds of Kubernetes' core that workflows and sensors refer to. Checked as far as Retrain reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Strict

from retrain.events import JsonValue
from retrain.manifests.document import Problem

Text = Annotated[str, Strict()]


class _Open(BaseModel):
    """Kubernetes knows more fields of these kinds; they are let through."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Metadata(_Open):
    name: Text = ""
    namespace: Text = ""
    labels: dict[str, Text] = {}


class ConfigMapDocument(_Open):
    apiVersion: Literal["v1"]
    kind: Literal["ConfigMap"]
    metadata: Metadata = Metadata()
    data: dict[str, Text] = {}
    binaryData: dict[str, Text] = {}


class SecretDocument(_Open):
    """`data` is base64, `stringData` plain."""

    apiVersion: Literal["v1"]
    kind: Literal["Secret"]
    metadata: Metadata = Metadata()
    data: dict[str, Text] = {}
    stringData: dict[str, Text] = {}


class VolumeClaimDocument(_Open):
    apiVersion: Literal["v1"]
    kind: Literal["PersistentVolumeClaim"]
    metadata: Metadata = Metadata()
    spec: dict[str, JsonValue] = {}


def check(document: BaseModel) -> Iterator[Problem]:  # noqa: ARG001 - every module of documents has one
    """Nothing more is wrong with them."""
    yield from ()
