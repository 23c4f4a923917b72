#!/usr/bin/env bash
# etcd alone, for an API server of kubeapi.sh that is to outlive it.
#   etcd.sh install                    the program of cluster.sh; nothing if it is there
#   etcd.sh start PORT DATADIR PEERS   in the foreground, on loopback; its data outlives a kill, not a power cut
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${RETRAIN_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/retrain-servers}

install() {
  bash "$here/cluster.sh" install kube
}

start() {
  local port=$1 data=$2 peers=$3
  exec "$cache/kubernetes/bin/kube" etcd --name=tests --data-dir="$data" --unsafe-no-fsync --log-level=error \
    --listen-client-urls="http://127.0.0.1:$port" --advertise-client-urls="http://127.0.0.1:$port" \
    --listen-peer-urls="http://127.0.0.1:$peers" --initial-advertise-peer-urls="http://127.0.0.1:$peers" \
    --initial-cluster="tests=http://127.0.0.1:$peers"
}

"$@"
