# Container images, built from what is on the machine, since no registry is reached; sourced by cluster.sh.
# They are `docker save` archives in $images. Archives that are made elsewhere can be put there, too.

# add DIR NAMES [CONFIG [BASE]]: an image of the folder DIR, as a layer on the archive BASE or alone. NAMES are separated by
# commas, CONFIG is the image's config object.
add() {
  local dir=$1 names=$2 config=${3:-'{}'} base=${4:-} tmp out layer id old
  mkdir -p "$images"
  out=$images/$(basename "${names%%,*}" | tr ':/' '--').tar
  tmp=$(mktemp -d "$images/.tmp.XXXXXX")
  if [ -n "$base" ]; then
    tar -C "$tmp" -xf "$base"
    old=$(jq -r '.[0].Config' "$tmp/manifest.json")
  else
    old=none.json
    echo '{}' >"$tmp/$old"
    echo '[{"Layers": []}]' >"$tmp/manifest.json"
  fi
  layer=layer-$(jq '.[0].Layers | length' "$tmp/manifest.json").tar
  tar --sort=name --numeric-owner --mtime=@0 --one-file-system -C "$dir" -cf "$tmp/$layer" .
  id=sha256:$(sha256sum "$tmp/$layer" | cut -d' ' -f1)
  jq --arg arch "$(architecture)" --arg id "$id" --argjson config "$config" '{architecture: $arch, os: "linux",
    created: "1970-01-01T00:00:00Z", config: ((.config // {}) * $config),
    rootfs: {type: "layers", diff_ids: ((.rootfs.diff_ids // []) + [$id])}}' "$tmp/$old" >"$tmp/image.json"
  jq --arg names "$names" --arg layer "$layer" '[{Config: "image.json", RepoTags: ($names | split(",")),
    Layers: (.[0].Layers + [$layer])}]' "$tmp/manifest.json" >"$tmp/new.json"
  mv "$tmp/new.json" "$tmp/manifest.json"
  jq -r '.[0] | .Config, .Layers[], "manifest.json"' "$tmp/manifest.json" | tar -C "$tmp" -cf "$tmp/image.tar" -T -
  mv "$tmp/image.tar" "$out"
  rm -rf "$tmp"
  say "image ${names//,/, } in $out"
}

architecture() {
  case $(uname -m) in x86_64) echo amd64 ;; aarch64) echo arm64 ;; *) uname -m ;; esac
}

# What every pod stands on, and busybox for the pods of tests.
base_images() {
  local root path='"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]' applet
  [ ! -e "$images/busybox-latest.tar" ] || return 0
  root=$(mktemp -d)
  umask 022
  mkdir -p "$root"/busybox/{bin,etc,root,tmp,var/tmp,usr/bin,proc,sys,dev} "$root/pause/bin"
  chmod 1777 "$root"/busybox/{tmp,var/tmp}
  cp "$(command -v busybox)" "$root/busybox/bin/busybox"
  for applet in $(busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/busybox/bin/$applet"
  done
  ln -s /bin/env "$root/busybox/usr/bin/env"
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/busybox/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/busybox/etc/group"
  # The container that holds a pod's namespaces only has to stay; nothing needs to be compiled for it.
  cp "$(command -v busybox)" "$root/pause/bin/busybox"
  add "$root/pause" retrain/pause:1 '{"Entrypoint":["/bin/busybox","sleep","infinity"]}'
  add "$root/busybox" busybox:latest,alpine:latest,alpine:3.23 "{$path,\"Cmd\":[\"sh\"]}"
  rm -rf "$root"
}
