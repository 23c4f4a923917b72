#!/usr/bin/env bash
# A Gitea for tests (API, git over HTTP, webhooks) on SQLite, built from its Go module; Go 1.26 and a C compiler (for SQLite).
#   gitea.sh install             12 minutes of CPU, once for each machine; nothing if it is there
#   gitea.sh start PORT DATADIR  in the foreground, on loopback; ready when GET /api/healthz is 200
# `start` first makes an administrator, $GITEA_USER:$GITEA_PASSWORD (retrain:retrain-password). Its pages have no scripts and no
# styles, which are not in the module; API and git are whole.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache="${RETRAIN_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/retrain-servers}"
version=1.26.4
server="$cache/gitea-$version/gitea"
static="$cache/gitea-$version/static"

install() {
  [ -x "$server" ] && return
  local module
  cd "$here/gitea"
  go mod download code.gitea.io/gitea
  module=$(go list -m -f '{{.Dir}}' code.gitea.io/gitea)
  # The server reads its templates and options from here.
  mkdir -p "$static/public"
  cp -r "$module/templates" "$module/options" "$static/"
  chmod -R u+w "$static"
  CGO_ENABLED=1 go build -trimpath -ldflags "-s -w -X main.Version=$version" -tags "sqlite sqlite_unlock_notify" -o "$server" code.gitea.io/gitea
}

start() {
  local port=$1 data=$2 gitea
  mkdir -p "$data/custom/conf"
  cat >"$data/custom/conf/app.ini" <<INI
RUN_MODE = prod
RUN_USER = $(id -un)
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = $port
ROOT_URL = http://127.0.0.1:$port/
LOCAL_ROOT_URL = http://127.0.0.1:$port/
STATIC_ROOT_PATH = $static
DISABLE_SSH = true
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
PATH = $data/gitea.db
[security]
INSTALL_LOCK = true
SECRET_KEY = test
INTERNAL_TOKEN = eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJuYmYiOjE3MDAwMDAwMDB9.W_9c1nYhA3cNjSx-Y4r0mJgQmWfZ4KuLk2hTTwUcIvk
PASSWORD_HASH_ALGO = pbkdf2_v1
[service]
DISABLE_REGISTRATION = true
[webhook]
ALLOWED_HOST_LIST = loopback,private
[log]
LEVEL = warn
MODE = console
[cron]
ENABLED = false
[actions]
ENABLED = false
[mailer]
ENABLED = false
INI
  export HOME="$data" GITEA_WORK_DIR="$data" GITEA_CUSTOM="$data/custom"
  gitea=("$server" --config "$data/custom/conf/app.ini")
  "${gitea[@]}" migrate
  "${gitea[@]}" admin user create --admin --username "${GITEA_USER:-retrain}" --password "${GITEA_PASSWORD:-retrain-password}" \
    --email retrain@example.org --must-change-password=false || true
  exec "${gitea[@]}" web
}

"$@"
