#!/usr/bin/env bash
# Argo's workflow controller alone, beside an API server without nodes: steps that need no pod (suspend, when) run.
#   workflow_controller.sh install                         the program of argo.sh; nothing if it is there
#   workflow_controller.sh start PORT DATADIR KUBECONFIG   in the foreground; PORT is not used
# The server has the definitions and the configuration already, and the kubeconfig's context the namespace `argo`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${RETRAIN_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/retrain-servers}

install() {
  bash "$here/argo.sh" install
}

start() {
  local kubeconfig=$3
  # Its page of health (port 6060) is another controller's where one runs; it says so and works on.
  export LEADER_ELECTION_DISABLE=true DEFAULT_REQUEUE_TIME=${ARGO_REQUEUE:-1s}
  exec "$cache/kubernetes/bin/workflow-controller" --kubeconfig="$kubeconfig" --executor-image=none --loglevel=info \
    --qps=200 --burst=300
}

"$@"
