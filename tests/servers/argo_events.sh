#!/usr/bin/env bash
# Argo Events v1.9.7's event source and sensor services, without its controller: what they are to do is in their environment.
#   argo_events.sh install                           5 minutes of CPU once for each machine (Go 1.24.1 or newer)
#   argo_events.sh start PORT DATADIR bus PROGRAM    a nats-server for them, in the foreground, as their controller sets one up
#   argo_events.sh start PORT DATADIR eventsource    in the foreground; PORT is that of its webhook
#   argo_events.sh start PORT DATADIR sensor         in the foreground; PORT is that of its metrics
# DATADIR of the bus holds tls.crt and tls.key: the services insist on TLS. See argo_events.py.
# Newer ones are not to be had verified: v1.9.8's go.mod is not in the checksum database.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${RETRAIN_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/retrain-servers}
program=$cache/argo_events/bin/argo-events

install() {
  [ ! -x "$program" ] || return 0
  mkdir -p "${program%/*}"
  # The go command must find the module's own go.mod, not that of the folder that the script was called from.
  (cd "$here/argo_events" && CGO_ENABLED=0 GOFLAGS=-buildvcs=false go build -trimpath -o "$program.new" \
    -ldflags "-s -w -X github.com/argoproj/argo-events.version=v1.9.7" .)
  mv "$program.new" "$program"
}

start() {
  local port=$1 data=$2 service=$3
  [ "$service" != bus ] || bus "$port" "$data" "$4"
  [ "$service" != sensor ] || export METRICS_ADDRESS=127.0.0.1:$port
  exec "$program" "$service"
}

bus() {
  local port=$1 data=$2 server=$3
  printf '%s\n' "listen: \"127.0.0.1:$port\"" "tls { cert_file: \"$data/tls.crt\", key_file: \"$data/tls.key\" }" \
    "jetstream { store_dir: \"$data/stream\", key: \"a key as its controller makes one\" }" >"$data/nats.conf"
  exec "$server" -c "$data/nats.conf"
}

"$@"
