"""What an operator may set about triggers. Plain values: the app reads them from the environment or a file."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network

METADATA: tuple[Network, ...] = (
    ip_network("169.254.0.0/16"),  # link-local: AWS, Google, Azure, OpenStack, ECS tasks
    ip_network("fe80::/10"),
    ip_network("fd00:ec2::/32"),  # AWS over IPv6
    ip_network("100.100.100.200/32"),  # Alibaba
    ip_network("192.0.0.192/32"),  # Oracle
)
"""Where clouds hand out a machine's credentials to whoever asks from it. No event may make us ask."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """The HTTP trigger. `deny` and `allow` are networks of addresses after name resolution; `allow` wins.

    `timeout_s` bounds a whole request where the trigger sets no `timeout`; `max_timeout_s` bounds what it may set.
    `body_limit` is how many bytes of a response are kept with the firing; `read_limit` how many are read before the
    connection is given up instead of reused.
    """

    timeout_s: float = 60.0
    max_timeout_s: float = 3600.0
    connections: int = 256
    body_limit: int = 4096
    read_limit: int = 256 * 1024
    deny: tuple[Network, ...] = METADATA
    allow: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The kinds nats, kafka, email, slack and awsLambda. Times in seconds.

    `dial_s` bounds the opening of a connection, `answer_s` the wait for the server's word that it has a message.
    `idle_s`: an unused connection is closed after that; `connections`: servers and logins that one kind keeps open.
    `mails` and `lambdas`: threads that send mails, or wait for functions; `lambda_s`: how long a function may take.
    `slack_url` and `aws_url` are where those services are; None means that the AWS library decides by the region.
    """

    dial_s: float = 10.0
    answer_s: float = 30.0
    idle_s: float = 600.0
    connections: int = 64
    mails: int = 8
    lambdas: int = 32
    lambda_s: float = 900.0
    slack_url: str = "https://slack.com/api"
    aws_url: str | None = None


@dataclass(frozen=True, slots=True)
class DispatchSettings:
    """The dispatcher. Times in seconds.

    `lease_s`: how long a firing belongs to this process without renewal; longer than any pause of the process that
    should not lead to a second act elsewhere. `per_trigger`: acts of one trigger at a time; `in_all`: of all
    triggers, so that one slow receiver cannot take every place. `held`: from this many firings in memory on no more
    are taken and the rest waits in the store (what was on its way just then still comes on top). `grace_s`: what acts
    in hand get to finish at shutdown.
    """

    lease_s: float = 30.0
    per_trigger: int = 64
    in_all: int = 256
    held: int = 4096
    batch: int = 256
    poll_s: float = 1.0
    grace_s: float = 5.0
