#!/usr/bin/env bash
# A Kubernetes API server for tests, with its etcd and nothing else: no scheduler, no controllers, no nodes. No root needed.
#   kubeapi.sh install                         the program of cluster.sh; nothing if it is there
#   kubeapi.sh start PORT DATADIR ETCD [PEERS] in the foreground, on loopback; ready when /readyz is answered 200
# Without PEERS its etcd is one that runs on the port ETCD already (etcd.sh).
# KUBEAPI_FLAGS are further flags for the server.
# DATADIR holds tls.crt, tls.key (the server's) and tokens.csv (who may ask); see kube_server.py.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${RETRAIN_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/retrain-servers}
program=$cache/kubernetes/bin/kube

install() {
  bash "$here/cluster.sh" install kube
}

start() {
  local port=$1 data=$2 etcd=$3 peers=${4:-}
  [ -f "$data/accounts.key" ] || openssl genrsa -out "$data/accounts.key" 2048 2>/dev/null
  [ -z "$peers" ] || bash "$here/etcd.sh" start "$etcd" "$data/etcd" "$peers" &
  exec "$program" kube-apiserver --etcd-servers="http://127.0.0.1:$etcd" --bind-address=127.0.0.1 \
    --advertise-address=127.0.0.1 --secure-port="$port" --tls-cert-file="$data/tls.crt" \
    --tls-private-key-file="$data/tls.key" --cert-dir="$data" --token-auth-file="$data/tokens.csv" \
    --service-account-issuer=https://tests --service-account-key-file="$data/accounts.key" \
    --service-account-signing-key-file="$data/accounts.key" --service-cluster-ip-range=10.96.0.0/16 \
    --authorization-mode=RBAC --disable-admission-plugins=ServiceAccount --endpoint-reconciler-type=none \
    --shutdown-delay-duration=0s ${KUBEAPI_FLAGS:-}
}

"$@"
