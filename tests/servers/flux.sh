#!/usr/bin/env bash
# A real Flux (source-controller, kustomize-controller v1.7.3, of Flux 2.7) beside the cluster of cluster.sh.
#   flux.sh install   8 minutes of CPU once for each machine, more where nothing of the cluster is built yet (Go 1.25)
#   flux.sh start     what does not run yet, in the background, 4 s; the cluster must run; prints: export KUBECONFIG=...
#   flux.sh running   is it up?
#   flux.sh stop      ends what `start` has started; what it has deployed stays in the cluster
# The controllers watch all namespaces. Sources must be http, https or ssh: Flux refuses file. Everything listens on 127.0.0.1.
# flux/go.sum: two modules (fluxcd/pkg/http/transport, go-containerregistry's k8schain) have their lines from
# source-controller's own go.sum.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${RETRAIN_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/retrain-servers}
name=flux
version=v1.7.3
home=$cache/flux
bin=$home/bin
manifests=$home/manifests
run=$home/run
artifacts=127.0.0.1:18091
export KUBECONFIG=$cache/kubernetes/run/kubeconfig
export PATH=$cache/kubernetes/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:${PATH:-}
# Git over HTTP, artifacts and the API server are on this machine: not through a proxy set for it.
export NO_PROXY=${NO_PROXY:+$NO_PROXY,}127.0.0.1,localhost,10.244.0.0/24,10.96.0.0/16
export no_proxy=$NO_PROXY
. "$here/daemons.sh"

install() {
  local controller
  mkdir -p "$bin"
  packages curl ca-certificates
  export CGO_ENABLED=0 GOFLAGS=-buildvcs=false
  cd "$here/flux" # the go command must find the module's own go.mod
  for controller in kustomize-controller source-controller; do
    [ -x "$bin/$controller" ] || go build -trimpath -ldflags "-s -w -X main.BuildVersion=$version" -o "$bin/$controller" \
      "github.com/fluxcd/$controller"
  done
  [ ! -d "$manifests" ] || return 0
  rm -rf "$manifests.new"
  mkdir -p "$manifests.new"
  for controller in kustomize-controller source-controller; do
    cp "$(go list -m -f '{{.Dir}}' "github.com/fluxcd/$controller")"/config/crd/bases/*.yaml "$manifests.new"
  done
  chmod -R u+w "$manifests.new"
  mv "$manifests.new" "$manifests"
}

healthy() {
  curl -fsS --noproxy '*' "http://127.0.0.1:$1/readyz" >/dev/null 2>&1
}

# installed: the cluster has the definitions; one that was stopped has forgotten them.
installed() {
  kubectl get crd kustomizations.kustomize.toolkit.fluxcd.io >/dev/null 2>&1
}

running() {
  alive source-controller && alive kustomize-controller && healthy 18093 && healthy 18095 && installed
}

start() {
  local began
  began=$(date +%s%N)
  [ -x "$bin/source-controller" ] && [ -d "$manifests" ] || die "Flux is missing: run flux.sh install first"
  [ "$(kubectl get --raw=/readyz 2>/dev/null)" = ok ] || die "no cluster behind $KUBECONFIG: run cluster.sh start first"
  exec 9>"$home/lock" # two that start it at the same time: the second waits, then finds it running
  flock 9
  installed || end kustomize-controller source-controller # of another cluster
  mkdir -p "$run"/{pids,logs,artifacts,tmp,home}
  chmod 700 "$run"
  kubectl get namespace flux-system >/dev/null 2>&1 || kubectl create namespace flux-system >/dev/null
  kubectl apply --server-side --force-conflicts -f "$manifests" >/dev/null
  kubectl wait --for=condition=Established --timeout=30s -f "$manifests" >/dev/null

  export HOME=$run/home TMPDIR=$run/tmp RUNTIME_NAMESPACE=flux-system GIT_CONFIG_NOSYSTEM=1
  launch source-controller "$bin/source-controller" --storage-path="$run/artifacts" --storage-addr=$artifacts \
    --storage-adv-addr=$artifacts --metrics-addr=127.0.0.1:18092 --health-addr=127.0.0.1:18093 --enable-leader-election=false
  launch kustomize-controller "$bin/kustomize-controller" --metrics-addr=127.0.0.1:18094 --health-addr=127.0.0.1:18095 \
    --enable-leader-election=false
  until_ok 60 "source controller" source-controller healthy 18093
  until_ok 60 "kustomize controller" kustomize-controller healthy 18095
  say "ready in $((($(date +%s%N) - began) / 1000000)) ms"
  echo "export KUBECONFIG=$KUBECONFIG"
}

stop() {
  [ -d "$run" ] || return 0
  set +e
  end kustomize-controller source-controller
  sweep
  say stopped
}

"$@"
