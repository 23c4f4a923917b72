#!/usr/bin/env bash
# A Prometheus server for tests: the machine's program, 2.42 or newer.
#   prometheus.sh install                       on Debian, as root: 20 s; nothing if it is there
#   prometheus.sh start PORT DATADIR TARGET     in the foreground, on loopback; it scrapes http://TARGET/metrics 10 times a second
# Ready when GET /-/ready is answered 200. It takes ann:hunter22 alone... where RETRAIN_PROMETHEUS_WEB names a file for that.
set -euo pipefail

install() {
  command -v prometheus >/dev/null && return
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus
}

start() {
  local port=$1 data=$2 target=$3
  mkdir -p "$data"
  cat >"$data/prometheus.yml" <<CONFIG
global: {scrape_interval: 100ms, scrape_timeout: 100ms}
scrape_configs:
  - job_name: outside
    static_configs: [{targets: ["$target"]}]
CONFIG
  exec prometheus --config.file="$data/prometheus.yml" --storage.tsdb.path="$data/tsdb" --storage.tsdb.no-lockfile \
    --web.listen-address="127.0.0.1:$port" --log.level=warn ${PROMETHEUS_WEB:+--web.config.file="$PROMETHEUS_WEB"}
}

"$@"
