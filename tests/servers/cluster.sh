#!/usr/bin/env bash
# A real Kubernetes of one node on this machine: etcd, API server, controllers, scheduler, kubelet on containerd. Needs root.
#   cluster.sh install [kube]    once for each machine: 21 minutes of CPU for the programs (Go 1.24.10 or newer, 10 GB of free
#                                disk, 6 GB of memory), packages and images from Debian; `kube`: the programs alone, without root
#   cluster.sh start             what does not run yet, in the background, 10 s; prints: export KUBECONFIG=...
#   cluster.sh running           is it up?
#   cluster.sh stop              ends pods, servers (by their pid files, nothing else), network and data; KEEP_LOGS=1 keeps logs
#   cluster.sh image DIR NAMES [CONFIG [BASE]]   one more image, see cluster/images.sh; `start` imports it, also when it runs
# One cluster for each machine: its ports are fixed. Nothing listens on the network card, only on 127.0.0.1 and on a bridge
# of its own. etcd keeps its data without fsync: a cluster for tests, not one to keep. No registry is reached, so all images
# are local; no DNS, no storage classes, no metrics. tests/servers/cluster_server.py starts and ends it for tests.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${RETRAIN_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/retrain-servers}
name=cluster
version=v1.33.13
home=$cache/kubernetes
bin=$home/bin          # kube, and links named after the programs in it
images=$home/images    # *.tar, one image each, imported at every start if not yet there
store=$home/containerd # containerd's content and snapshots; outlives a stop, so images are imported once
pki=$home/pki
run=$home/run
node=retrain
bridge=retrain0
node_ip=10.244.0.1     # the bridge's own address
pod_cidr=10.244.0.0/24
service_cidr=10.96.0.0/16
api=https://$node_ip:6443
etcd=http://127.0.0.1:23790
export PATH=$bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:${PATH:-}
export KUBECONFIG=$run/kubeconfig
# A proxy set for the machine must not see the cluster's traffic.
export NO_PROXY=${NO_PROXY:+$NO_PROXY,}127.0.0.1,localhost,$node_ip,$pod_cidr,$service_cidr
export no_proxy=$NO_PROXY
. "$here/daemons.sh"
. "$here/cluster/images.sh"
. "$here/cluster/up.sh"
. "$here/cluster/down.sh"

install() {
  build
  [ "${1:-}" != kube ] || return 0
  packages containerd runc containernetworking-plugins iptables conntrack iproute2 socat busybox-static openssl curl jq ca-certificates
  base_images
}

build() {
  local flags="-s -w" package stamp program
  [ ! -x "$bin/kube" ] || return 0
  mkdir -p "$bin"
  # Without the stamps the API server says v0.0.0, and its emulated version and clients' checks go wrong.
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    for stamp in gitVersion=$version gitMajor=1 gitMinor=33 gitTreeState=clean; do
      flags+=" -X $package.$stamp"
    done
  done
  # The go command must find the module's own go.mod, not that of the folder that the script was called from.
  (cd "$here/cluster" && CGO_ENABLED=0 GOFLAGS=-buildvcs=false go build -trimpath -tags osusergo,netgo,selinux -ldflags "$flags" -o "$bin/kube.new" .)
  mv "$bin/kube.new" "$bin/kube"
  for program in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
    ln -sf kube "$bin/$program"
  done
}

running() {
  alive kubelet && [ "$(kubectl get --raw=/readyz 2>/dev/null)" = ok ]
}

start() {
  [ "$(id -u)" = 0 ] || die "needs root: containers, cgroups and iptables"
  [ -x "$bin/kube" ] || die "$bin/kube is missing: run cluster.sh install first"
  [ ${#run} -le 70 ] || die "the path of the run folder is too long for the sockets in it: $run"
  exec 9>"$home/lock" # two that start it at the same time: the second waits, then finds it running
  flock 9
  up
  echo "export KUBECONFIG=$KUBECONFIG"
}

stop() {
  [ ! -d "$run" ] || down
}

image() {
  add "$@"
}

"$@"
