#!/usr/bin/env bash
# A Prometheus server for tests: the machine's program, 2.42 or newer.
#   prometheus.sh install                          on Debian, as root: 20 s; nothing if it is there
#   prometheus.sh start PORT DATADIR TARGET [WEB [RULES]]  in the foreground, on loopback; reads http://TARGET/metrics 5
#                                                          times a second, and judges by RULES as often
# Ready when PORT accepts. WEB is a file that says who may ask.
set -euo pipefail

install() {
  command -v prometheus >/dev/null && return
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus
}

start() {
  local port=$1 data=$2 target=$3 web=${4:-} rules=${5:-}
  mkdir -p "$data"
  cat >"$data/prometheus.yml" <<CONFIG
global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}
rule_files: [${rules:+"$rules"}]
scrape_configs:
  - job_name: outside
    static_configs: [{targets: ["$target"]}]
CONFIG
  exec prometheus --config.file="$data/prometheus.yml" --storage.tsdb.path="$data/tsdb" --web.config.file="$web" \
    --web.listen-address="127.0.0.1:$port" --log.level=warn
}

"$@"
