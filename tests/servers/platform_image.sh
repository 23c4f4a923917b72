#!/usr/bin/env bash
# The platform's image for machines that reach no registry: the Dockerfile itself, on a Debian that debootstrap has made.
#   platform_image.sh install        once for each machine, 1 minute: debootstrap, a Docker engine, the Debian. Needs root.
#   platform_image.sh build TAR TAG [OPTION...]  the work tree as the image TAG in the archive TAR, as `docker save` writes it;
#                                    options of `docker build`, such as --build-arg EXTRAS=--all-extras
# The engine is one of its own (docker.sh), runs only while it builds, and keeps the layers for the next time.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${RETRAIN_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/retrain-servers}
home=$cache/platform-image
base=$home/debian.tar
suite=bookworm
export DOCKER_HOST=unix://$home/engine/docker.sock DOCKER_BUILDKIT=1

install() {
  bash "$here/docker.sh" install
  command -v debootstrap >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap
  [ -e "$base" ] || debian
}

# What Debian's own `bookworm-slim` is: the smallest Debian, without documentation.
debian() {
  local root
  mkdir -p "$home"
  root=$(mktemp -d "$home/.root.XXXXXX")
  debootstrap --variant=minbase "$suite" "$root" "$(mirrors | awk -v suite="$suite" '$2 == suite {print $1; exit}')" \
    >"$home/debootstrap.log"
  mirrors | awk '{print "deb", $1, $2, "main"}' >"$root/etc/apt/sources.list"
  rm -rf "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* \
    "$root"/usr/share/{doc,man,locale,info}/* "$root"/var/log/*.log "$root"/dev/*
  tar -C "$root" --sort=name --numeric-owner -cf "$base.new" .
  mv "$base.new" "$base"
  rm -rf "$root"
}

# Where this machine has its own Debian from: address and suite in each line.
mirrors() {
  apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' "Origin: Debian" | sort -u
}

build() {
  local tar=$1 tag=$2
  shift 2
  exec 9>"$home/lock" # one builds, the others wait and find the layers
  flock 9
  engine=$(engine_started)
  trap engine_ended EXIT
  client image inspect "debian:$suite-slim" >/dev/null 2>&1 || client import "$base" "debian:$suite-slim" >/dev/null
  # --network=host: the engine makes no network of its own here. The machine may trust a proxy that the image should not.
  client build --quiet --network=host --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt \
    --build-arg "REVISION=$(git -C "$here" rev-parse HEAD 2>/dev/null || echo unknown)" -t "$tag" "$@" "$here/../.."
  client save -o "$tar.new" "$tag"
  mv "$tar.new" "$tar"
}

engine_started() {
  local tries
  mkdir -p "$home/engine"
  bash "$here/docker.sh" start 0 "$home/engine" >"$home/engine.log" 2>&1 9>&- &
  for tries in $(seq 120); do
    ! client version >/dev/null 2>&1 || break
    [ "$tries" != 120 ] || { tail "$home/engine.log" >&2; return 1; }
    sleep 0.5
  done
  echo $!
}

engine_ended() {
  kill "$engine"
  tail --pid="$engine" -f /dev/null
  umount --lazy "$home/engine/exec/netns/default" 2>/dev/null || true
}

# Debian's client: it brings BuildKit, which newer ones keep in a plugin.
client() {
  /usr/bin/docker "$@"
}

"$@"
