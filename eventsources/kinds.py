"""The kinds of source that are built, and where to turn for those of Argo Events that are not.

A kind is one file with what the user writes (`Spec`), what can be wrong with that (`check`) and the class that runs,
and one line here. The file is imported with this module, so that lint knows it: a client library that it needs is
imported where it connects. The class is looked up when a source is started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from eventsources.fields import Path
from eventsources.http import (
    alertmanager,
    bitbucket,
    cloudevents,
    gitea,
    github,
    gitlab,
    mlflow,
    slack,
    sns,
    stripe,
    webhook,
)
from eventsources.objects import gcs, minio, s3
from eventsources.port import Kind, Source, SourceContext
from eventsources.queues import (
    amqp,
    azure_queue_storage,
    jetstream,
    kafka,
    mqtt,
    nats,
    pubsub,
    redis,
    redis_stream,
    sqs,
)
from eventsources.watching import calendar, file, http_poll, prometheus, resource, sftp
from retrain.errors import ConfigError
from retrain.manifests import Problem
from retrain.manifests.argo import Shape

Check = Callable[[Path, Any, bool], Iterator[Problem]]
"""What is wrong with one event's spec at a path: (path, spec, whether it is retrain.dev/v1)."""


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """One kind of ours; built like any `Kind`, by calling it.

    `source`: the class that runs, as `module:Class`. `type`: what its events' type says, upstream's where upstream has
    the kind. `shared`: all replicas run it; else one at a time does. `needs`: the extra of this package that brings the
    client library, where that is not installed with it.
    """

    Spec: type[Shape]
    check: Check
    source: str
    type: str
    shared: bool = False
    needs: str = ""

    def __call__(self, name: str, spec: Any, context: SourceContext) -> Source:
        module, _, kind = self.source.partition(":")
        try:
            built = getattr(import_module(module), kind)
            return built(name, spec, context)
        except ModuleNotFoundError as error:
            if not self.needs:
                raise
            message = f"the {self.type} source wants {error.name}: pip install 'retrain[{self.needs}]'"
            raise ConfigError(message) from error


BUILT_IN: Mapping[str, BuiltIn] = {
    "webhook": BuiltIn(
        Spec=webhook.Webhook,
        check=webhook.check,
        source="eventsources.http.webhook:WebhookSource",
        type="webhook",
        shared=True,
    ),
    "github": BuiltIn(
        Spec=github.Github,
        check=github.check,
        source="eventsources.http.github:GithubSource",
        type="github",
        shared=True,
    ),
    "gitlab": BuiltIn(
        Spec=gitlab.Gitlab,
        check=gitlab.check,
        source="eventsources.http.gitlab:GitlabSource",
        type="gitlab",
        shared=True,
    ),
    "bitbucket": BuiltIn(
        Spec=bitbucket.Bitbucket,
        check=bitbucket.check,
        source="eventsources.http.bitbucket:BitbucketSource",
        type="bitbucket",
        shared=True,
    ),
    "gitea": BuiltIn(
        Spec=gitea.Gitea, check=gitea.check, source="eventsources.http.gitea:GiteaSource", type="gitea", shared=True
    ),
    "cloudevents": BuiltIn(
        Spec=cloudevents.CloudEvents,
        check=cloudevents.check,
        source="eventsources.http.cloudevents:CloudEventsSource",
        type="cloudevents",
        shared=True,
    ),
    "alertmanager": BuiltIn(
        Spec=alertmanager.Alertmanager,
        check=alertmanager.check,
        source="eventsources.http.alertmanager:AlertmanagerSource",
        type="alertmanager",
        shared=True,
    ),
    "slack": BuiltIn(
        Spec=slack.Slack, check=slack.check, source="eventsources.http.slack:SlackSource", type="slack", shared=True
    ),
    "stripe": BuiltIn(
        Spec=stripe.Stripe,
        check=stripe.check,
        source="eventsources.http.stripe:StripeSource",
        type="stripe",
        shared=True,
    ),
    "sns": BuiltIn(Spec=sns.Sns, check=sns.check, source="eventsources.http.sns:SnsSource", type="sns", shared=True),
    "mlflow": BuiltIn(
        Spec=mlflow.Mlflow, check=mlflow.check, source="eventsources.http.mlflow_source:MlflowSource", type="mlflow"
    ),
    "file": BuiltIn(Spec=file.File, check=file.check, source="eventsources.watching.file:FileSource", type="file"),
    "calendar": BuiltIn(
        Spec=calendar.Calendar,
        check=calendar.check,
        source="eventsources.watching.calendar:CalendarSource",
        type="calendar",
    ),
    "httpPoll": BuiltIn(
        Spec=http_poll.HttpPoll,
        check=http_poll.check,
        source="eventsources.watching.http_poll:HttpPollSource",
        type="httpPoll",
    ),
    "prometheus": BuiltIn(
        Spec=prometheus.Prometheus,
        check=prometheus.check,
        source="eventsources.watching.prometheus:PrometheusSource",
        type="prometheus",
    ),
    "sftp": BuiltIn(
        Spec=sftp.Sftp,
        check=sftp.check,
        source="eventsources.watching.sftp_source:SftpSource",
        type="sftp",
        needs="sftp",
    ),
    "resource": BuiltIn(
        Spec=resource.Resource,
        check=resource.check,
        source="eventsources.watching.resource_source:ResourceSource",
        type="resource",
        needs="kubernetes",
    ),
    "jetstream": BuiltIn(
        Spec=jetstream.JetStream,
        check=jetstream.check,
        source="eventsources.queues.jetstream_source:JetStreamSource",
        type="jetstream",
        shared=True,
    ),
    "kafka": BuiltIn(
        Spec=kafka.Kafka,
        check=kafka.check,
        source="eventsources.queues.kafka_source:KafkaSource",
        type="kafka",
        shared=True,
    ),
    "amqp": BuiltIn(Spec=amqp.Amqp, check=amqp.check, source="eventsources.queues.amqp_source:AmqpSource", type="amqp"),
    "mqtt": BuiltIn(Spec=mqtt.Mqtt, check=mqtt.check, source="eventsources.queues.mqtt_source:MqttSource", type="mqtt"),
    "nats": BuiltIn(Spec=nats.Nats, check=nats.check, source="eventsources.queues.nats_source:NatsSource", type="nats"),
    "redis": BuiltIn(
        Spec=redis.Redis, check=redis.check, source="eventsources.queues.redis_source:RedisSource", type="redis"
    ),
    "redisStream": BuiltIn(
        Spec=redis_stream.RedisStream,
        check=redis_stream.check,
        source="eventsources.queues.redis_stream_source:RedisStreamSource",
        type="redisStream",
    ),
    "azureQueueStorage": BuiltIn(
        Spec=azure_queue_storage.AzureQueueStorage,
        check=azure_queue_storage.check,
        source="eventsources.queues.azure_queue_storage_source:AzureQueueStorageSource",
        type="azureQueueStorage",
        shared=True,
        needs="azure",
    ),
    "pubSub": BuiltIn(
        Spec=pubsub.PubSub,
        check=pubsub.check,
        source="eventsources.queues.pubsub_source:PubSubSource",
        type="pubsub",
        shared=True,
        needs="gcp",
    ),
    "gcs": BuiltIn(
        Spec=gcs.Gcs, check=gcs.check, source="eventsources.objects.gcs_source:GcsSource", type="gcs", needs="gcp"
    ),
    "sqs": BuiltIn(
        Spec=sqs.Sqs, check=sqs.check, source="eventsources.queues.sqs_source:SqsSource", type="sqs", shared=True
    ),
    "s3": BuiltIn(Spec=s3.S3, check=s3.check, source="eventsources.objects.s3_source:S3Source", type="s3"),
    "minio": BuiltIn(
        Spec=minio.Minio, check=minio.check, source="eventsources.objects.minio_source:MinioSource", type="minio"
    ),
}
"""By the name of their map in `spec`."""

KINDS: dict[str, Kind] = dict(BUILT_IN)
"""The same for who runs them. The app adds those of the entry-point group `retrain.sources` at its start."""

UPSTREAM: Mapping[str, str] = {
    "amqp": "",
    "azureEventsHub": "kafka: Event Hubs speaks Kafka's protocol on port 9093 (SASL PLAIN, user $ConnectionString)",
    "azureQueueStorage": "",
    "azureServiceBus": "azureQueueStorage, or a webhook that an Event Grid subscription of the queue calls",
    "bitbucket": "",
    "bitbucketserver": "webhook: add its URL as a webhook of the repository in Bitbucket Server",
    "calendar": "",
    "emitter": "mqtt: emitter.io speaks MQTT",
    "file": "",
    "generic": "cloudevents: let the program POST its events; or a plugin, see docs/plugins.md",
    "gerrit": "webhook: Gerrit's webhooks plugin posts to it",
    "github": "",
    "gitlab": "",
    "hdfs": "file with `polling: true` on an HDFS that is mounted by NFS gateway or FUSE",
    "kafka": "",
    "minio": "",
    "mns": "sqs where the queue can be of AWS; else a webhook that an MNS topic's HTTP subscription calls",
    "mqtt": "",
    "nats": "",
    "nsq": "webhook: nsq_to_http posts each message to it",
    "pubSub": "",
    "pulsar": "kafka: Pulsar brokers speak Kafka's protocol with KoP; else a webhook that a Pulsar function calls",
    "redis": "",
    "redisStream": "",
    "resource": "",
    "sftp": "",
    "slack": "",
    "sns": "",
    "sqs": "",
    "storagegrid": "s3 by listing, or sns: StorageGRID's platform services publish to it",
    "stripe": "",
    "webhook": "",
}
"""Every kind that Argo Events has, as it is written, and what to take instead while it is not built."""
