#!/bin/sh
# What the image has of Debian, and what it lacks: no compilers, no documentation.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get upgrade -y -qq
apt-get install -y -qq --no-install-recommends ca-certificates openssh-client python3 tini
sh "$(dirname "$0")/git.sh"
mkdir -p /usr/share/sbom
dpkg-query -W -f '${Package} ${Version} ${Architecture}\n' >/usr/share/sbom/debian.txt
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /usr/share/doc/* /usr/share/man/* /usr/share/locale/* /usr/share/info/*
find /var/log -type f -delete
rm -rf /usr/lib/python3.11/test /usr/lib/python3.11/pydoc_data
# As the libraries' bytecode: found good without a look at the source.
find /usr/lib/python3* -name __pycache__ -prune -exec rm -r {} +
python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3.11
mkdir -p /etc/retrain /var/lib/retrain
chown 10001:10001 /var/lib/retrain
