"""Firing -> action. One file for each kind of action, and the dispatcher that lets them act.

A kind acts on the world (`Trigger`) or writes to the store (`StoreTrigger`); `KINDS` maps its name in a sensor's
manifest to the function that opens it. A kind imports its server's library when its first firing acts, not before.
Third parties add kinds through the entry-point group `retrain.triggers`.
"""

from triggers.argo_workflow import open_argo_workflow
from triggers.aws_lambda import open_aws_lambda
from triggers.dispatcher import Dispatcher
from triggers.http import open_http
from triggers.kafka_topic import open_kafka_topic
from triggers.log import open_log
from triggers.mail import open_mail
from triggers.nats_subject import open_nats_subject
from triggers.objects import open_k8s
from triggers.port import Firing, Opener, RetryAfter, Secrets, StaticSecrets, StoreTrigger, Tools, Trigger
from triggers.promotion import open_promotion
from triggers.redrive import redrive
from triggers.retrain_event import open_retrain
from triggers.settings import DispatchSettings, HttpSettings, NetworkSettings
from triggers.slack import open_slack

KINDS: dict[str, Opener] = {
    "argoWorkflow": open_argo_workflow,
    "awsLambda": open_aws_lambda,
    "email": open_mail,
    "http": open_http,
    "k8s": open_k8s,
    "kafka": open_kafka_topic,
    "log": open_log,
    "nats": open_nats_subject,
    "promotion": open_promotion,
    "retrain": open_retrain,
    "slack": open_slack,
}

__all__ = [
    "KINDS",
    "DispatchSettings",
    "Dispatcher",
    "Firing",
    "HttpSettings",
    "NetworkSettings",
    "Opener",
    "RetryAfter",
    "Secrets",
    "StaticSecrets",
    "StoreTrigger",
    "Tools",
    "Trigger",
    "redrive",
]
