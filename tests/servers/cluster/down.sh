# How the cluster ends; sourced by cluster.sh. Whatever is not there any more is passed over.

down() {
  set +e
  end $(ls "$run/pids" | grep -vxE '.*\.start|etcd|containerd')
  end etcd # after them: the API server does not end while it waits for its store
  alive containerd && end_pods
  [ ! -x "$bin/kube-proxy" ] || kube-proxy --cleanup >/dev/null 2>&1
  end containerd
  unmount
  find /sys/fs/cgroup -depth -type d -path '*/kubepods*' -exec rmdir {} + 2>/dev/null
  ip link del "$bridge" 2>/dev/null
  remove_rules 2>/dev/null
  sweep
  say stopped
}

# The pods' processes are containerd's: ended one by one through it, so that its shims end too.
end_pods() {
  local c="ctr --address $run/containerd.sock -n k8s.io" tasks task containers
  for _ in 1 2 3; do # containers first, the pods' sandboxes may outlive the first round
    tasks=$($c tasks ls -q 2>/dev/null)
    [ -n "$tasks" ] || break
    for task in $tasks; do $c tasks rm -f "$task" >/dev/null 2>&1; done
  done
  containers=$($c containers ls -q 2>/dev/null)
  [ -z "$containers" ] || $c containers rm $containers >/dev/null 2>&1
}

# Only mounts inside the run folder, deepest first.
unmount() {
  awk -v p="$run/" 'index($2, p) == 1 {print $2}' /proc/self/mounts | sort -r | while read -r at; do
    umount -l "$(printf '%b' "$at")" 2>/dev/null
  done
}

# What kube-proxy --cleanup leaves: the kubelet's chains, and those of the CNI plugins for our network's pods.
remove_rules() {
  local table saved ours chain rule
  for table in mangle nat filter; do
    saved=$(iptables-save -t $table 2>/dev/null)
    ours=$({
      sed -nE 's/^:(KUBE-[^ ]+) .*/\1/p' <<<"$saved"
      sed -nE 's/^-A POSTROUTING .*name: \\"retrain\\".* -j (CNI-[^ ]+).*/\1/p' <<<"$saved"
    } | sort -u)
    for chain in $ours; do
      grep -E -- "-j $chain( |\$)" <<<"$saved" | sed 's/^-A/-D/' | while read -r rule; do eval "iptables -t $table $rule"; done
      iptables -t $table -F "$chain"
    done
    for chain in $ours; do iptables -t $table -X "$chain"; done
  done
}
