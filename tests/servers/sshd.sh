#!/usr/bin/env bash
# An OpenSSH server for tests that serves files only (SFTP), with keys of its own and on a port of its own.
#   sshd.sh install             on Debian, as root: 5 s; nothing if it is there
#   sshd.sh start PORT DATADIR  in the foreground, on loopback; ready when PORT accepts
# Whoever runs it logs in with DATADIR/client_key and finds DATADIR/files; the server's key is DATADIR/host_key.pub. There
# are no passwords.
set -euo pipefail

install() {
  [ -x /usr/sbin/sshd ] && return
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openssh-server
}

start() {
  local port=$1 data=$2
  mkdir -p "$data/files"
  chmod 700 "$data"
  [ -f "$data/host_key" ] || ssh-keygen -q -t ed25519 -N "" -f "$data/host_key"
  [ -f "$data/client_key" ] || ssh-keygen -q -t ed25519 -N "" -f "$data/client_key"
  cp "$data/client_key.pub" "$data/authorized_keys"
  # Where the server puts itself apart from those it serves.
  [ "$(id -u)" != 0 ] || mkdir -p /run/sshd
  cat >"$data/sshd_config" <<CONFIG
ListenAddress 127.0.0.1:$port
HostKey $data/host_key
AuthorizedKeysFile $data/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
ForceCommand internal-sftp -d $data/files
AllowTcpForwarding no
X11Forwarding no
MaxStartups 100
CONFIG
  exec /usr/sbin/sshd -D -e -f "$data/sshd_config"
}

"$@"
