#!/usr/bin/env bash
# An Apache Kafka broker for tests: one node, KRaft, from Maven Central; needs Java 17 or newer and Maven.
#   kafka.sh install             half a minute, 43 MB, once for each machine; nothing if it is there
#   kafka.sh start PORT DATADIR  in the foreground, on loopback; the controller listens on PORT + 1, or on a third argument
# KAFKA_LISTENERS (more of them, with commas) and KAFKA_PROPERTIES (a file) add to the broker's configuration.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache="${RETRAIN_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/retrain-servers}"
libs="$cache/kafka-4.4.0/libs"

install() {
  [ -d "$libs" ] && return
  command -v java >/dev/null && command -v mvn >/dev/null || { echo "Kafka needs Java 17 or newer and Maven" >&2; exit 1; }
  mvn -q -B -f "$here/kafka/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$libs.part"
  mv "$libs.part" "$libs"
}

start() {
  local port=$1 data=$2 controller="${3:-$(($1 + 1))}"
  mkdir -p "$data"
  cat >"$data/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller${KAFKA_LISTENERS:+,$KAFKA_LISTENERS}
advertised.listeners=PLAINTEXT://127.0.0.1:$port${KAFKA_LISTENERS:+,$KAFKA_LISTENERS}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=$data/log
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
PROPERTIES
  [ -z "${KAFKA_PROPERTIES:-}" ] || cat "$KAFKA_PROPERTIES" >>"$data/server.properties"
  local java=(java -Xms128m -Xmx384m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
    -Dlog4j2.configurationFile="$here/kafka/log4j2.xml" -cp "$libs/*")
  if [ ! -f "$data/log/meta.properties" ]; then
    "${java[@]}" kafka.tools.StorageTool format -t "${KAFKA_CLUSTER_ID:-retrain-test-cluster-1}" -c "$data/server.properties"
  fi
  exec "${java[@]}" kafka.Kafka "$data/server.properties"
}

"$@"
