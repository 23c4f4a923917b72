"""A step that fails at first; the number of the attempt comes in as any other variable."""

from hera.workflows import Container, RetryPolicy, RetryStrategy, Workflow
from hera.workflows.models import Backoff

with Workflow(generate_name="retries-", entrypoint="flaky") as w:
    Container(
        name="flaky",
        image="alpine",
        command=["sh", "-c"],
        args=["echo attempt {{retries}}; test {{retries}} -ge 2"],
        retry_strategy=RetryStrategy(
            limit=4, retry_policy=RetryPolicy.on_failure, backoff=Backoff(duration="10ms", factor=2)
        ),
    )
