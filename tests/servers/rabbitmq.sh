#!/usr/bin/env bash
# A RabbitMQ broker for tests (AMQP 0-9-1): the machine's rabbitmq-server, run by whoever runs this.
#   rabbitmq.sh install                          on Debian, as root: 20 s; nothing if it is there
#   rabbitmq.sh start PORT DATADIR [NODE NAMES]  in the foreground, on loopback; ready when PORT accepts; user guest:guest
# NODE and NAMES are ports, too: the node's own, and Erlang's port mapper. RABBITMQ_CONF (a file) adds to its configuration.
set -euo pipefail

install() {
  [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] && return
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends rabbitmq-server
}

start() {
  local port=$1 data=$2 node="${3:-$(($1 + 1))}" names="${4:-$(($1 + 2))}"
  mkdir -p "$data"
  printf 'listeners.tcp.1 = 127.0.0.1:%s\nlog.console = true\nlog.console.level = warning\nlog.file = false\n' "$port" >"$data/rabbitmq.conf"
  [ -z "${RABBITMQ_CONF:-}" ] || cat "$RABBITMQ_CONF" >>"$data/rabbitmq.conf"
  : >"$data/enabled_plugins"
  export HOME="$data" RABBITMQ_NODENAME="retrain$port@localhost" RABBITMQ_DIST_PORT=$node ERL_EPMD_PORT=$names
  export RABBITMQ_CONFIG_FILE="$data/rabbitmq.conf" RABBITMQ_ENABLED_PLUGINS_FILE="$data/enabled_plugins"
  export RABBITMQ_MNESIA_BASE="$data/mnesia" RABBITMQ_LOG_BASE="$data/log" RABBITMQ_PID_FILE="$data/pid"
  export RABBITMQ_CONF_ENV_FILE=/dev/null ERL_EPMD_ADDRESS=127.0.0.1 RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 1"
  # Erlang's port mapper makes itself a daemon that outlives the node: `names` is where it is told to end, at any time.
  export ERL_EPMD_RELAXED_COMMAND_CHECK=true
  cd "$data"
  exec /usr/lib/rabbitmq/bin/rabbitmq-server
}

"$@"
