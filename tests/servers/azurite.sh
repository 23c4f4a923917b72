#!/usr/bin/env bash
# Azurite, Microsoft's own emulator of Azure storage, from npm; needs Node 20 or newer.
#   azurite.sh install                       a minute, 365 MB, once for each machine; nothing if it is there
#   azurite.sh start PORT DATADIR [BLOB TABLE]   in the foreground, on loopback; queues on PORT, blobs and tables on PORT + 1 and PORT + 2
# Ready when PORT accepts. Its account is devstoreaccount1, with the key that Azurite publishes.
set -euo pipefail
cache="${RETRAIN_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/retrain-servers}"
version=3.37.0
server="$cache/azurite-$version/node_modules/.bin/azurite"

install() {
  [ -x "$server" ] && return
  command -v npm >/dev/null || { echo "Azurite needs Node 20 or newer, with npm" >&2; exit 1; }
  npm install --silent --no-fund --no-audit --ignore-scripts --prefix "$cache/azurite-$version" "azurite@$version"
}

start() {
  local port=$1 data=$2 blob="${3:-$(($1 + 1))}" table="${4:-$(($1 + 2))}"
  mkdir -p "$data"
  exec "$server" --silent --disableTelemetry --skipApiVersionCheck --location "$data" \
    --queueHost 127.0.0.1 --queuePort "$port" --blobHost 127.0.0.1 --blobPort "$blob" --tableHost 127.0.0.1 --tablePort "$table"
}

"$@"
