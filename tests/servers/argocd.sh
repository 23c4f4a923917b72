#!/usr/bin/env bash
# A real Argo CD (application controller, repository server, Redis) beside the cluster of cluster.sh, without pages.
#   argocd.sh install   5 minutes of CPU once for each machine, more where nothing of the cluster is built yet (Go 1.25)
#   argocd.sh start     what does not run yet, in the background, 5 s; the cluster must run; prints: export KUBECONFIG=...
#   argocd.sh running   is it up?
#   argocd.sh stop      ends what `start` has started; what it has deployed stays in the cluster
# Applications are in the namespace argocd, their cluster is https://kubernetes.default.svc, a repository may be file://.
# ARGOCD_POLL is the pause between two looks at the repositories: 10s here; Argo CD's own is 120s and up to 60s more (default).
# Everything listens on 127.0.0.1, but for the controller's metrics (port 18082), whose address Argo CD fixes at 0.0.0.0.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${RETRAIN_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/retrain-servers}
name=argocd
version=v3.2.1
kustomize_version=v5.7.1
home=$cache/argocd
bin=$home/bin # argocd-core, with links named after its components; kustomize
manifests=$home/manifests
run=$home/run
module=github.com/argoproj/argo-cd/v3
redis_port=16379
repo_port=18081
metrics_port=18082
repo_metrics_port=18084
export KUBECONFIG=$cache/kubernetes/run/kubeconfig
export PATH=$bin:$cache/kubernetes/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:${PATH:-}
# Git over HTTP and the API server are on this machine: not through a proxy set for it.
export NO_PROXY=${NO_PROXY:+$NO_PROXY,}127.0.0.1,localhost,10.244.0.0/24,10.96.0.0/16
export no_proxy=$NO_PROXY
. "$here/daemons.sh"

install() {
  local path flags="-s -w -X $module/common.version=${version#v}" stamp program
  mkdir -p "$bin"
  packages redis-server git curl ca-certificates
  export CGO_ENABLED=0 GOFLAGS=-buildvcs=false
  cd "$here/argocd" # the go command must find the module's own go.mod
  for stamp in gitTag=$version gitCommit=$version gitTreeState=clean; do
    flags+=" -X $module/common.$stamp"
  done
  [ -x "$bin/argocd-core" ] || go build -trimpath -ldflags "$flags" -o "$bin/argocd-core" .
  for program in argocd-application-controller argocd-repo-server argocd; do
    ln -sf argocd-core "$bin/$program"
  done
  [ -x "$bin/kustomize" ] || go build -trimpath -o "$bin/kustomize" \
    -ldflags "-s -w -X sigs.k8s.io/kustomize/api/provenance.version=$kustomize_version" sigs.k8s.io/kustomize/kustomize/v5
  [ ! -d "$manifests" ] || return 0
  path=$(go list -m -f '{{.Dir}}' $module)
  rm -rf "$manifests.new"
  mkdir -p "$manifests.new"
  # Not the sets of applications: their controller is not built.
  cp "$path"/manifests/crds/{application,appproject}-crd.yaml "$path"/manifests/base/config/argocd-*.yaml "$manifests.new"
  chmod -R u+w "$manifests.new"
  mv "$manifests.new" "$manifests"
}

healthy() {
  curl -fsS --noproxy '*' "http://127.0.0.1:$1" >/dev/null 2>&1
}

# installed: the cluster has the definitions; one that was stopped has forgotten them.
installed() {
  kubectl get crd applications.argoproj.io >/dev/null 2>&1
}

running() {
  alive application-controller && alive repo-server && alive redis && healthy $metrics_port/healthz && installed
}

start() {
  local began poll=${ARGOCD_POLL:-10s}
  began=$(date +%s%N)
  [ -x "$bin/kustomize" ] && [ -d "$manifests" ] || die "Argo CD is missing: run argocd.sh install first"
  [ "$(kubectl get --raw=/readyz 2>/dev/null)" = ok ] || die "no cluster behind $KUBECONFIG: run cluster.sh start first"
  exec 9>"$home/lock" # two that start it at the same time: the second waits, then finds it running
  flock 9
  installed || end application-controller repo-server redis # of another cluster
  mkdir -p "$run"/{pids,logs,redis,tmp,home,tls,ssh,plugins}
  chmod 700 "$run"
  # The definitions are too large for a client-side apply.
  kubectl get namespace argocd >/dev/null 2>&1 || kubectl create namespace argocd >/dev/null
  kubectl apply -n argocd --server-side --force-conflicts -f "$manifests" >/dev/null
  kubectl wait --for=condition=Established --timeout=30s crd/{applications,appprojects}.argoproj.io >/dev/null
  kubectl apply -n argocd --server-side --force-conflicts -f "$here/argocd/settings.yaml" >/dev/null

  # Git must not read the developer's own settings, nor the components write outside the run folder.
  export HOME=$run/home TMPDIR=$run/tmp GIT_CONFIG_NOSYSTEM=1
  export ARGOCD_FAKE_IN_CLUSTER=true ARGOCD_GPG_ENABLED=false ARGOCD_ASK_PASS_SOCK=$run/ask-pass.sock
  export ARGOCD_TLS_DATA_PATH=$run/tls ARGOCD_SSH_DATA_PATH=$run/ssh ARGOCD_PLUGINSOCKFILEPATH=$run/plugins
  export ARGOCD_APPLICATION_CONTROLLER_LOGFORMAT=text ARGOCD_REPO_SERVER_LOGFORMAT=text
  # One setting for both: the controller's period and how long the repository server remembers a branch's commit.
  [ "$poll" = default ] || export ARGOCD_RECONCILIATION_TIMEOUT=$poll ARGOCD_RECONCILIATION_JITTER=0s
  launch redis redis-server --bind 127.0.0.1 --port $redis_port --dir "$run/redis" --save "" --appendonly no --daemonize no
  until_ok 10 Redis redis redis-cli -p $redis_port ping
  launch repo-server argocd-repo-server --address 127.0.0.1 --port $repo_port --metrics-address 127.0.0.1 \
    --metrics-port $repo_metrics_port --redis 127.0.0.1:$redis_port --disable-tls
  until_ok 60 "repository server" repo-server healthy "$repo_metrics_port/healthz?full=true"
  launch application-controller argocd-application-controller --kubeconfig "$KUBECONFIG" --namespace argocd \
    --repo-server 127.0.0.1:$repo_port --repo-server-plaintext --redis 127.0.0.1:$redis_port --metrics-port $metrics_port
  until_ok 60 "application controller" application-controller healthy $metrics_port/healthz
  say "ready in $((($(date +%s%N) - began) / 1000000)) ms"
  echo "export KUBECONFIG=$KUBECONFIG"
}

stop() {
  [ -d "$run" ] || return 0
  set +e
  end application-controller repo-server
  end redis
  sweep
  say stopped
}

"$@"
