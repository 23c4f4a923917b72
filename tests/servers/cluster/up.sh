# How the cluster comes up, part after part; sourced by cluster.sh.

up() {
  local began
  began=$(date +%s%N)
  mkdir -p "$run"/{pids,logs,etcd,kubelet,cni,containerd,manifests} "$store" "$pki"
  chmod 700 "$run" "$pki"
  certificates
  kubeconfig "$KUBECONFIG" default
  network
  containers
  control_plane
  import_images
  worker
  pod_needs
  say "ready in $((($(date +%s%N) - began) / 1000000)) ms"
}

# One authority, one certificate for the servers, one for an administrator; kept between runs.
certificates() {
  [ ! -e "$pki/done-$node_ip" ] || return 0
  new_key() { openssl ecparam -genkey -name prime256v1 -noout -out "$1" 2>/dev/null; }
  new_key "$pki/ca.key"
  openssl req -x509 -new -key "$pki/ca.key" -subj /CN=retrain-test-ca -days 3650 -out "$pki/ca.crt" \
    -addext keyUsage=critical,keyCertSign,digitalSignature
  new_key "$pki/service-account.key"
  sign() { # NAME SUBJECT USAGE [SUBJECT-ALTERNATIVE-NAMES]
    new_key "$pki/$1.key"
    openssl req -new -key "$pki/$1.key" -subj "$2" -out "$pki/$1.csr"
    openssl x509 -req -in "$pki/$1.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 3650 \
      -out "$pki/$1.crt" -extfile <(printf 'extendedKeyUsage=%s\n%s\n' "$3" "${4:+subjectAltName=$4}") 2>/dev/null
  }
  local names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local
  sign server /CN=retrain-test serverAuth \
    "$names,DNS:localhost,DNS:$node,IP:127.0.0.1,IP:$node_ip,IP:${service_cidr%.*.*}.0.1"
  sign admin /O=system:masters/CN=admin clientAuth
  touch "$pki/done-$node_ip"
}

kubeconfig() { # FILE NAMESPACE
  cat >"$1" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: retrain, cluster: {server: "$api", certificate-authority-data: $(base64 -w0 "$pki/ca.crt")}}]
users: [{name: admin, user: {client-certificate-data: $(base64 -w0 "$pki/admin.crt"), client-key-data: $(base64 -w0 "$pki/admin.key")}}]
contexts: [{name: retrain, context: {cluster: retrain, user: admin, namespace: $2}}]
current-context: retrain
YAML
  chmod 600 "$1"
}

# A bridge that is there before the first pod, for the servers to listen on.
network() {
  echo 1 >/proc/sys/net/ipv4/ip_forward
  ip link show "$bridge" >/dev/null 2>&1 || ip link add "$bridge" type bridge
  ip addr show "$bridge" | grep -q "$node_ip/" || ip addr add "$node_ip/${pod_cidr#*/}" dev "$bridge"
  ip link set "$bridge" up
  mkdir -p "$run/cni/net.d"
  cat >"$run/cni/net.d/10-retrain.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "retrain", "plugins": [
  {"type": "bridge", "bridge": "$bridge", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$run/cni/addresses",
      "ranges": [[{"subnet": "$pod_cidr"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
}

# containerd, its own: root, state and socket apart from one that the machine may run.
containers() {
  cat >"$run/containerd.toml" <<TOML
version = 2
root = "$store"
state = "$run/containerd"
[grpc]
  address = "$run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/retrain/pause:1"
  # Lowering oom_score_adj needs CAP_SYS_RESOURCE, which a machine inside a sandbox lacks.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  tolerate_missing_hugetlb_controller = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "$run/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
TOML
  launch containerd containerd --config "$run/containerd.toml"
}

# etcd, API server, controllers, scheduler.
control_plane() {
  launch etcd etcd --name=$node --data-dir="$run/etcd" --unsafe-no-fsync --log-level=warn \
    --listen-client-urls=$etcd --advertise-client-urls=$etcd \
    --listen-peer-urls=http://127.0.0.1:23800 --initial-advertise-peer-urls=http://127.0.0.1:23800 \
    --initial-cluster=$node=http://127.0.0.1:23800
  launch kube-apiserver kube-apiserver --etcd-servers=$etcd \
    --bind-address=$node_ip --advertise-address=$node_ip --secure-port=6443 \
    --tls-cert-file="$pki/server.crt" --tls-private-key-file="$pki/server.key" --client-ca-file="$pki/ca.crt" \
    --kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key" \
    --kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$pki/service-account.key" --service-account-signing-key-file="$pki/service-account.key" \
    --service-cluster-ip-range=$service_cidr --authorization-mode=Node,RBAC \
    --feature-gates=MutatingAdmissionPolicy=true --runtime-config=admissionregistration.k8s.io/v1alpha1=true \
    --allow-privileged=true --endpoint-reconciler-type=master-count --apiserver-count=1 \
    --shutdown-delay-duration=0s
  kubectl_ready() { [ "$(kubectl get --raw=/readyz)" = ok ]; }
  until_ok 180 "API server ready" kube-apiserver kubectl_ready

  launch kube-controller-manager kube-controller-manager --kubeconfig="$KUBECONFIG" \
    --authentication-kubeconfig="$KUBECONFIG" --authorization-kubeconfig="$KUBECONFIG" --bind-address=127.0.0.1 \
    --leader-elect=false --root-ca-file="$pki/ca.crt" --service-account-private-key-file="$pki/service-account.key" \
    --use-service-account-credentials=false --cluster-cidr=$pod_cidr --allocate-node-cidrs=false \
    --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key"
  launch kube-scheduler kube-scheduler --kubeconfig="$KUBECONFIG" \
    --authentication-kubeconfig="$KUBECONFIG" --authorization-kubeconfig="$KUBECONFIG" --bind-address=127.0.0.1 \
    --leader-elect=false
}

# Those archives that are new or have changed.
import_images() {
  local known=$store/imported archive line
  touch "$known"
  until_ok 60 "containerd ready" containerd ctr --address "$run/containerd.sock" version
  for archive in "$images"/*.tar; do
    line=$(stat -c '%n %s %Y' "$archive")
    grep -qxF "$line" "$known" && continue
    ctr --address "$run/containerd.sock" -n k8s.io images import "$archive" >/dev/null
    echo "$line" >>"$known"
    say "imported $(basename "$archive")"
  done
}

# The kubelet and the proxy.
worker() {
  cp /etc/resolv.conf "$run/resolv.conf"
  cat >"$run/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $node_ip
healthzBindAddress: 127.0.0.1
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $pki/server.crt
tlsPrivateKeyFile: $pki/server.key
containerRuntimeEndpoint: unix://$run/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
staticPodPath: ""
resolvConf: $run/resolv.conf
clusterDomain: cluster.local
maxPods: 200
# A full disk or a busy machine is the tests' business, not a reason to evict their pods or images.
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
enforceNodeAllocatable: [pods]
registerNode: true
YAML
  launch kubelet kubelet --config="$run/kubelet.yaml" --kubeconfig="$KUBECONFIG" --root-dir="$run/kubelet" \
    --hostname-override=$node --node-ip=$node_ip
  launch kube-proxy kube-proxy --kubeconfig="$KUBECONFIG" --hostname-override=$node --proxy-mode=iptables \
    --cluster-cidr=$pod_cidr --bind-address=$node_ip --healthz-bind-address=127.0.0.1:10256 \
    --metrics-bind-address=127.0.0.1:10249 --conntrack-max-per-core=0 \
    --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0
}

# Images are local, so they are never pulled, whatever a pod's pull policy says; pods need a service account.
pod_needs() {
  kubectl apply --server-side --force-conflicts -f "$here/cluster/local-images.yaml" >/dev/null
  node_is_ready() { kubectl wait --for=condition=Ready "node/$node" --timeout=1s; }
  until_ok 90 "node ready" kubelet node_is_ready
  until_ok 60 "default service account" kube-controller-manager kubectl -n default get serviceaccount default
}

