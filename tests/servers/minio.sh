#!/usr/bin/env bash
# A MinIO server for tests, built with `go install` from its Go module (Go 1.24 or newer), once for each machine.
#   minio.sh install             nine minutes of CPU; nothing if it is there
#   minio.sh start PORT DATADIR  in the foreground, on loopback; ready when GET /minio/health/ready is 200
# The default build is of 2025-09-07, whose listen API streams. MINIO_VERSION=v0.0.0-20260212201848-7aac2a2c5b7c is a newer
# one that never flushes that stream: a source that listens must notice. tests/servers/launch.py finds both.
set -euo pipefail
cache="${RETRAIN_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/retrain-servers}"
version="${MINIO_VERSION:-v0.0.0-20250907161309-07c3a429bfed}"
server="$cache/minio-$version/minio"

install() {
  [ -x "$server" ] && return
  command -v go >/dev/null || { echo "building MinIO needs Go 1.24 or newer" >&2; exit 1; }
  CGO_ENABLED=0 GOBIN="$cache/minio-$version" go install -trimpath -ldflags "-s -w" "github.com/minio/minio@$version"
}

start() {
  local port=$1 data=$2
  mkdir -p "$data"
  export MINIO_ROOT_USER="${MINIO_ROOT_USER:-minioadmin}" MINIO_ROOT_PASSWORD="${MINIO_ROOT_PASSWORD:-minioadmin}"
  export MINIO_BROWSER="${MINIO_BROWSER:-off}" MINIO_UPDATE=off
  exec "$server" server --quiet --address "127.0.0.1:$port" "$data"
}

"$@"
