#!/usr/bin/env bash
# A Redis server for tests: the machine's redis-server, 6.2 or newer.
#   redis.sh install                        on Debian, as root: 10 s; nothing if it is there
#   redis.sh start PORT DATADIR [MORE...]   in the foreground, on loopback, with an append-only file; ready when PORT accepts
set -euo pipefail

install() {
  command -v redis-server >/dev/null && return
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server
}

start() {
  local port=$1 data=$2
  shift 2
  mkdir -p "$data"
  exec redis-server --bind 127.0.0.1 --port "$port" --dir "$data" --appendonly yes --appendfsync always --save "" --daemonize no "$@"
}

"$@"
