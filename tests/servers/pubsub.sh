#!/usr/bin/env bash
# Google's own Pub/Sub emulator. It is no package of a registry: it comes with the Google Cloud SDK (Debian package
# google-cloud-cli-pubsub-emulator of Google's repository), and needs Java 11 or newer. CLOUDSDK_ROOT says where the SDK is.
#   pubsub.sh install             says whether it is there
#   pubsub.sh start PORT DATADIR  in the foreground, on loopback, in memory; ready when GET / is 200
# Clients find it by PUBSUB_EMULATOR_HOST=127.0.0.1:PORT.
set -euo pipefail
jars=("${CLOUDSDK_ROOT:-/usr/lib/google-cloud-sdk}"/platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar)

install() {
  [ -f "${jars[0]}" ] || { echo "the Google Cloud SDK's Pub/Sub emulator is not installed" >&2; exit 3; }
}

start() {
  local port=$1 data=$2
  mkdir -p "$data"
  exec java -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -jar "${jars[0]}" --host=127.0.0.1 --port="$port"
}

"$@"
