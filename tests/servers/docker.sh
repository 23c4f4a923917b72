#!/usr/bin/env bash
# A Docker engine for tests, the distribution's, with its own data, state and socket. Needs root; takes no port.
#   docker.sh install            the engine, and the static busybox that the test image is made of (no registry is asked)
#   docker.sh start 0 DATADIR    in the foreground; DOCKER_HOST=unix://DATADIR/docker.sock, ready when `docker version` answers
set -euo pipefail

install() {
  command -v dockerd >/dev/null && command -v busybox >/dev/null && return
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io iptables busybox-static
}

start() {
  local data=$2
  mkdir -p "$data"
  exec dockerd --host "unix://$data/docker.sock" --data-root "$data/data" --exec-root "$data/exec" --pidfile "$data/pid" \
    --iptables=false --ip-masq=false --log-level warn
}

"$@"
