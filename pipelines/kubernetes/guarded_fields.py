"""The fields of objects that decide on rights, and the rules that they come under. Pure tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Rule(StrEnum):
    """What an event may not choose unless it is listed. The names are those of `kubernetes.allow`."""

    SERVICE_ACCOUNT = "serviceAccountName"
    TOKEN = "automountServiceAccountToken"  # noqa: S105 - the name of a field
    HOST_PATH = "hostPath"
    HOST = "host"
    SECURITY = "securityContext"
    POD_SPEC_PATCH = "podSpecPatch"
    VOLUME = "volume"
    SECRET = "secret"  # noqa: S105 - the name of a rule
    CONFIG_MAP = "configMap"
    NAMESPACE = "namespace"
    KIND = "kind"
    METADATA = "metadata"
    TEMPLATE = "templateRef"
    HOOKS = "hooks"
    ARTIFACTS = "artifactRepositoryRef"
    RESOURCE = "resource"
    AGENT = "agent"
    OPERATION = "operation"
    TAG = "tag"


@dataclass(frozen=True, slots=True)
class Choice:
    """What an event has chosen: the field, the rule that guards it, the value as a text ("" where it took it away)."""

    path: str
    rule: Rule
    value: str


FIELDS: Mapping[str, Rule] = {
    "serviceaccountname": Rule.SERVICE_ACCOUNT,
    "serviceaccount": Rule.SERVICE_ACCOUNT,
    "automountserviceaccounttoken": Rule.TOKEN,
    "hostpath": Rule.HOST_PATH,
    **dict.fromkeys(("hostnetwork", "hostpid", "hostipc", "hostport", "hostusers"), Rule.HOST),
    **dict.fromkeys(("shareprocessnamespace", "runtimeclassname", "procmount"), Rule.HOST),
    "podspecpatch": Rule.POD_SPEC_PATCH,
    **dict.fromkeys(("secretkeyref", "secretref", "secretname", "imagepullsecrets"), Rule.SECRET),
    **dict.fromkeys(("configmapkeyref", "configmapref", "configmap"), Rule.CONFIG_MAP),
    "secrets": Rule.SECRET,  # of a SparkApplication's driver and executors, and so are these
    "configmaps": Rule.CONFIG_MAP,
    **dict.fromkeys(("workflowtemplateref", "templateref", "runtimeref"), Rule.TEMPLATE),
    "hooks": Rule.HOOKS,
    "artifactrepositoryref": Rule.ARTIFACTS,
    **dict.fromkeys(("manifest", "manifestfrom"), Rule.RESOURCE),
    "plugin": Rule.AGENT,
    **dict.fromkeys(("ownerreferences", "finalizers"), Rule.METADATA),
}
"""Fields whose whole value is guarded, by their names in small letters."""

SPARK = "spark.kubernetes."
"""How the settings of Spark begin by which it makes its pods; all but those of `SPARK_HARMLESS` are guarded."""
SPARK_HARMLESS = frozenset(
    {
        "spark.kubernetes.container.image",
        *(f"spark.kubernetes.{role}.container.image" for role in ("driver", "executor")),
        *(f"spark.kubernetes.{role}.{what}.cores" for role in ("driver", "executor") for what in ("request", "limit")),
    }
)

HARMLESS: Mapping[str, tuple[Any, ...]] = {
    "automountserviceaccounttoken": (False,),
    **dict.fromkeys(("hostnetwork", "hostpid", "hostipc", "hostusers", "shareprocessnamespace"), (False,)),
    "hostport": (0,),
    **dict.fromkeys(("privileged", "allowprivilegeescalation"), (False,)),
    **dict.fromkeys(("readonlyrootfilesystem", "runasnonroot"), (True,)),
}
"""Values that take rights away: anybody may choose them, and an event may not take them back."""

RESTRICTS = frozenset({Rule.SECURITY, Rule.TOKEN, Rule.SERVICE_ACCOUNT})
"""Rules of fields that are missed where they are taken away: what holds instead may be more."""

VOLUMES = frozenset({"name", "emptydir", "persistentvolumeclaim", "ephemeral", "downwardapi", "image"})
"""What a volume may be without bringing anything of the node's, or of a Secret or ConfigMap."""

OURS = (
    "retrain.dev/",
    "workflows.argoproj.io/",
    "app.kubernetes.io/managed-by",
    "kubernetes.io/service-account.",
    "pod-security.kubernetes.io/",
    "container.apparmor.security.beta.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "seccomp.security.alpha.kubernetes.io/",
    "iam.amazonaws.com/",
    "eks.amazonaws.com/",
    "iam.gke.io/",
    "azure.workload.identity/",
    "vault.hashicorp.com/",
    "k8s.v1.cni.cncf.io/",
    "istio.io/",
    "sidecar.istio.io/",
    "linkerd.io/",
)
"""How labels and annotations begin by which a platform, a mesh, or what hands out identities and networks, knows its
own."""

OPAQUE = {"ConfigMap": ("data", "binaryData"), "Secret": ("data", "stringData")}
"""Kind -> members whose names mean nothing to anybody."""

RIGHTS = frozenset(
    {
        *("Namespace", "ServiceAccount", "Secret", "PersistentVolume", "Node"),
        *("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "NetworkPolicy", "CertificateSigningRequest"),
        *("CustomResourceDefinition", "APIService", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"),
        *("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "PriorityClass", "RuntimeClass"),
    }
)
"""Kinds that are rights themselves: an event chooses nothing of them but what is in OPAQUE."""
