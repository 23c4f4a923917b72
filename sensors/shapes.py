"""Small shapes that several parts of a Sensor share. Names and types are those of Argo Events' v1alpha1."""

from __future__ import annotations

from retrain.manifests.argo import KeySelector, Shape


class BasicAuth(Shape):
    username: KeySelector | None = None
    password: KeySelector | None = None


class Tls(Shape):
    ca_cert_secret: KeySelector | None = None
    client_cert_secret: KeySelector | None = None
    client_key_secret: KeySelector | None = None
    insecure_skip_verify: bool = False
    enabled: bool = False


class Sasl(Shape):
    mechanism: str = ""
    user_secret: KeySelector | None = None
    password_secret: KeySelector | None = None


class Backoff(Shape):
    """`duration`: nanoseconds, or a text like 1s."""

    duration: int | str | None = None
    factor: float | str | None = None
    jitter: float | str | None = None
    steps: int | None = None


class ValueFrom(Shape):
    secret_key_ref: KeySelector | None = None
    config_map_key_ref: KeySelector | None = None


class SecureHeader(Shape):
    name: str = ""
    value_from: ValueFrom | None = None


class ParameterSource(Shape):
    """Where a parameter's value comes from: a part of the event that came for a dependency, or `value`.

    `window` is of retrain.dev/v1: it asks for all events that a firing acts on, see `sensors.actions.windows`.
    """

    dependency_name: str = ""
    context_key: str = ""
    context_template: str = ""
    data_key: str = ""
    data_template: str = ""
    value: str | None = None
    use_raw_data: bool = False
    window: str = ""


class Parameter(Shape):
    """Put a value from an event at `dest`, an sjson path. `operation`: overwrite (also ""), append, prepend."""

    src: ParameterSource | None = None
    dest: str = ""
    operation: str = ""
