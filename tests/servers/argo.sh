#!/usr/bin/env bash
# A real Argo Workflows controller beside the cluster of cluster.sh, without a server, pages and command line.
#   argo.sh install   10 minutes of CPU once for each machine (Go 1.24.10 or newer)
#   argo.sh start     what does not run yet, in the background, 2 s; the cluster must run; prints: export KUBECONFIG=...
#   argo.sh running   is it up?
#   argo.sh stop      ends the controller; workflows and their pods stay in the cluster
# It runs on the host, watches all namespaces and looks at a workflow again after ARGO_REQUEUE (1s here, its own is 10s).
# ARGO_CRDS=full installs the definitions that check every field, which takes a minute. There are the images busybox and
# alpine (busybox inside); a container without `command` needs its image in argo/controller.yaml.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${RETRAIN_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/retrain-servers}
name=argo
version=v3.7.4
sum=h1:oA/DxaSsjb6fMYaygf7JVQgnsF+ZzlfUPy5kIfLsCic=
module=github.com/argoproj/argo-workflows/v3
home=$cache/kubernetes # with the cluster's: its executor is an image there
bin=$home/bin
crds=$home/crds
images=$home/images
run=$home/run
export KUBECONFIG=$run/kubeconfig
export PATH=$bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:${PATH:-}
export NO_PROXY=${NO_PROXY:+$NO_PROXY,}127.0.0.1,localhost,10.244.0.0/24,10.96.0.0/16
export no_proxy=$NO_PROXY
. "$here/daemons.sh"
. "$here/cluster/images.sh"

install() {
  [ -x "$bin/argoexec" ] && [ -x "$bin/workflow-controller" ] && [ -d "$crds" ] || build
  [ "$images/argoexec-$version.tar" -nt "$bin/argoexec" ] || executor
}

build() {
  local source=$home/src/argo-workflows-$version download flags="-s -w -X $module.version=$version -X $module.gitTag=$version"
  mkdir -p "$home/src/empty" "$bin"
  download=$(cd "$home/src/empty" && go mod download -json "$module@$version")
  [ "$(field Sum)" = "$sum" ] || die "Argo Workflows $version has the sum $(field Sum), not $sum"
  if [ ! -d "$source" ]; then
    rm -rf "$source.new"
    cp -r "$(field Dir)" "$source.new"
    chmod -R u+w "$source.new"
    # A link in the repository, and a module's archive carries no links.
    ln -s signal_darwin.go "$source.new/workflow/executor/osspecific/signal_linux.go"
    mv "$source.new" "$source"
  fi
  (cd "$source" && CGO_ENABLED=0 GOFLAGS=-buildvcs=false go build -trimpath -ldflags "$flags" -o "$bin/" \
    ./cmd/argoexec ./cmd/workflow-controller)
  rm -rf "$crds"
  cp -r "$source/manifests/base/crds" "$crds"
  # kubectl apply -f FOLDER would take the kustomization for an object.
  rm -f "$crds"/*/kustomization.yaml "$crds"/*/README.md
}

field() {
  sed -nE "s/^\t\"$1\": \"(.*)\",?$/\1/p" <<<"$download"
}

executor() {
  local root
  root=$(mktemp -d)
  mkdir -p "$root"/{bin,etc,tmp}
  chmod 1777 "$root/tmp"
  chmod 755 "$root"
  cp "$bin/argoexec" "$root/bin/argoexec"
  printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
  add "$root" "retrain/argoexec:$version" '{"Env":["PATH=/bin"],"Entrypoint":["argoexec"]}'
  rm -rf "$root"
}

# installed: the cluster has the definitions; one that was stopped has forgotten them.
installed() {
  kubectl get crd workflows.argoproj.io >/dev/null 2>&1
}

running() {
  alive workflow-controller && curl -fsS --noproxy '*' http://127.0.0.1:6060/healthz >/dev/null 2>&1 && installed
}

start() {
  local began
  began=$(date +%s%N)
  [ -x "$bin/workflow-controller" ] && [ -d "$crds" ] || die "Argo Workflows is missing: run argo.sh install first"
  [ "$(kubectl get --raw=/readyz 2>/dev/null)" = ok ] || die "no cluster behind $KUBECONFIG: run cluster.sh start first"
  exec 9>"$home/argo.lock" # two that start it at the same time: the second waits, then finds it running
  flock 9
  installed || end workflow-controller # of another cluster
  kubectl apply --server-side --force-conflicts -f "$crds/${ARGO_CRDS:-minimal}" >/dev/null
  kubectl apply --server-side --force-conflicts -f "$here/argo/controller.yaml" >/dev/null
  kubectl wait --for=condition=Established --timeout=30s \
    crd/{workflows,workflowtaskresults,workflowtasksets,workflowtemplates,cronworkflows}.argoproj.io >/dev/null
  sed 's/namespace: default/namespace: argo/' "$KUBECONFIG" >"$run/argo.kubeconfig"
  chmod 600 "$run/argo.kubeconfig"
  LEADER_ELECTION_DISABLE=true DEFAULT_REQUEUE_TIME=${ARGO_REQUEUE:-1s} launch workflow-controller workflow-controller \
    --kubeconfig="$run/argo.kubeconfig" --executor-image="retrain/argoexec:$version" \
    --executor-image-pull-policy=IfNotPresent --loglevel=info
  until_ok 30 "workflow controller" workflow-controller running
  say "ready in $((($(date +%s%N) - began) / 1000000)) ms"
  echo "export KUBECONFIG=$KUBECONFIG"
}

stop() {
  [ -d "$run" ] || return 0
  set +e
  end workflow-controller
  say stopped
}

"$@"
