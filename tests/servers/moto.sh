#!/usr/bin/env bash
# An AWS for tests (S3, SQS, SNS), in memory: moto's server, which is in the dev dependencies, so nothing is installed here.
#   moto.sh start PORT DATADIR PYTHON  in the foreground, on loopback; ready when GET /moto-api/ is 200
set -euo pipefail

install() {
  :
}

start() {
  local port=$1 data=$2 python=$3
  mkdir -p "$data"
  exec "$python" -m moto.server -H 127.0.0.1 -p "$port"
}

"$@"
