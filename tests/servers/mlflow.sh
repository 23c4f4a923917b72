#!/usr/bin/env bash
# An MLflow server for tests, tracking and model registry on SQLite, from PyPI in an environment of its own.
#   mlflow.sh install             2 minutes of CPU, 850 MB, once for each machine; nothing if it is there
#   mlflow.sh start PORT DATADIR  in the foreground, on loopback; ready when GET /health is 200
# 3.17.2, because 3.18.0 cannot be installed: its mlflow-skinny is missing.
set -euo pipefail
cache="${RETRAIN_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/retrain-servers}"
version=3.17.2
venv="$cache/mlflow-$version"

install() {
  [ -x "$venv/bin/mlflow" ] && return
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install -q "mlflow==$version"
}

start() {
  local port=$1 data=$2
  mkdir -p "$data"
  cd "$data"
  # Webhooks to a plain loopback receiver are refused otherwise.
  export MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true
  # Five more processes, for scoring of traces.
  export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true
  exec "$venv/bin/mlflow" server --host 127.0.0.1 --port "$port" --workers 1 \
    --backend-store-uri "sqlite:///$data/mlflow.db" --artifacts-destination "$data/artifacts"
}

"$@"
