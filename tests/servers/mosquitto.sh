#!/usr/bin/env bash
# A Mosquitto broker for tests, MQTT 3.1.1 and 5: the machine's mosquitto, 2.0 or newer.
#   mosquitto.sh install             on Debian, as root: 13 s; nothing if it is there
#   mosquitto.sh start PORT DATADIR  in the foreground, on loopback, for ann:hunter22; ready when PORT accepts
# MOSQUITTO_CONF (a file) adds to its configuration, such as further listeners.
set -euo pipefail

install() {
  command -v mosquitto >/dev/null && return
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mosquitto
}

start() {
  local port=$1 data=$2
  mkdir -p "$data"
  # It writes down what it holds every second, and when it is told to end. What came between is lost by a kill -9.
  cat >"$data/mosquitto.conf" <<CONF
user $(id -un)
per_listener_settings true
persistence true
persistence_location $data/
autosave_interval 1
max_queued_messages 0
listener $port 127.0.0.1
allow_anonymous false
password_file $data/passwords
CONF
  [ -f "$data/passwords" ] || mosquitto_passwd -b -c "$data/passwords" ann hunter22
  [ -z "${MOSQUITTO_CONF:-}" ] || cat "$MOSQUITTO_CONF" >>"$data/mosquitto.conf"
  exec mosquitto -c "$data/mosquitto.conf"
}

"$@"
