# The platform as an image: `docker build -t retrain .`; docs/kubernetes.md says how it runs. All of Python comes from uv.lock.
# BASE is any Debian 12. Where you build for production pin it: `--build-arg BASE=debian:bookworm-slim@sha256:...`, which
# `docker buildx imagetools inspect debian:bookworm-slim` says. A tag alone is another Debian next month.
ARG BASE=debian:bookworm-slim

# What the platform needs of the system: Python; git and ssh for deployment repositories; tini, since steps leave orphans.
FROM ${BASE} AS system
COPY deploy/kubernetes/image/system.sh deploy/kubernetes/image/git.sh /build/
RUN sh /build/system.sh && rm -r /build

# Behind a proxy that signs for the index: `--secret id=ca,src=FILE`. The image itself does not trust it.
FROM system AS tools
ARG UV_VERSION=0.13.8
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
RUN --mount=type=secret,id=ca if [ -e /run/secrets/ca ]; then cat /run/secrets/ca >>"$SSL_CERT_FILE"; fi \
    && apt-get update -qq && apt-get install -y -qq --no-install-recommends binutils python3-venv \
    && python3 -m venv /uv && /uv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check "uv==${UV_VERSION}"
# Bytecode that is not compared with its source: nobody changes it, and copying may change the files' times.
ENV PATH=/uv/bin:$PATH UV_PYTHON=/usr/bin/python3 UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 \
    PYC_INVALIDATION_MODE=UNCHECKED_HASH UV_PROJECT_ENVIRONMENT=/opt/retrain
WORKDIR /src

# The libraries: a layer that changes with the lock alone. EXTRAS=--all-extras adds the library for kubeconfigs that name a
# program: in a pod the platform asks its own API server without it.
FROM tools AS libraries
ARG EXTRAS="--extra azure --extra gates --extra gcp --extra sftp --extra telemetry"
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-default-groups --no-install-project ${EXTRAS}
COPY deploy/kubernetes/image/prune.sh deploy/kubernetes/image/load.py deploy/kubernetes/image/sbom.py /build/
RUN sh /build/prune.sh /opt/retrain && /opt/retrain/bin/python /build/load.py /opt/retrain
RUN uv export --quiet --frozen --no-default-groups --preview-features sbom-export --format cyclonedx1.5 ${EXTRAS} \
        --output-file /build/lock.cdx.json \
    && mkdir /sbom && python3 /build/sbom.py /build/lock.cdx.json /opt/retrain /usr/share/sbom/debian.txt >/sbom/retrain.cdx.json

# The project: a layer of some megabytes, laid over the libraries.
FROM libraries AS project
COPY . .
RUN --mount=type=cache,target=/root/.cache/uv \
    uv build --quiet --wheel --out-dir /build/dist \
    && uv pip install --quiet --no-deps --python /opt/retrain/bin/python --prefix /project /build/dist/*.whl

FROM system
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG BASE
LABEL org.opencontainers.image.title="Retrain" \
      org.opencontainers.image.description="Event-driven retraining: data changes, the model follows." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="The Retrain authors" \
      org.opencontainers.image.base.name="${BASE}" \
      dev.retrain.sbom="/usr/share/sbom/retrain.cdx.json"
COPY --from=libraries /opt/retrain /opt/retrain
COPY --from=libraries /sbom /usr/share/sbom
COPY --from=project /project /opt/retrain
# No home of its own: what is written goes to the data directory and to /tmp, and everything else may be read-only.
ENV PATH=/opt/retrain/bin:/usr/local/bin:/usr/bin:/bin HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 7300
ENTRYPOINT ["tini", "--", "retrain"]
CMD ["up", "/etc/retrain", "--data", "/var/lib/retrain"]
