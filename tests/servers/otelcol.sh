#!/usr/bin/env bash
# OpenTelemetry's own collector for tests: it takes OTLP over HTTP and writes what it takes to a file, a request a line.
# Built from its Go modules (Go 1.25 or newer).
#   otelcol.sh install             a minute of CPU, once for each machine; nothing if it is there
#   otelcol.sh start PORT DATADIR  in the foreground, on loopback; ready when PORT accepts; spans in DATADIR/spans.json
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache="${RETRAIN_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/retrain-servers}"
server="$cache/otelcol-0.156.0/otelcol"

install() {
  [ -x "$server" ] && return
  command -v go >/dev/null || { echo "building the collector needs Go 1.25 or newer" >&2; exit 1; }
  cd "$here/otelcol"
  CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$server" .
}

start() {
  local port=$1 data=$2
  mkdir -p "$data"
  cat >"$data/otelcol.yaml" <<CONFIG
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:$port"}}}}
exporters: {file: {path: "$data/spans.json", append: true, flush_interval: 100ms}}
service:
  telemetry: {metrics: {level: none}, logs: {level: warn}}
  pipelines: {traces: {receivers: [otlp], exporters: [file]}}
CONFIG
  exec "$server" --config "$data/otelcol.yaml"
}

"$@"
