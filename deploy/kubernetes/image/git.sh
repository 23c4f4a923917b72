#!/bin/sh
# Debian's git without Perl, servers, and the second copy of itself: 74 MB less, and what is used here stays.
# The package is put together anew, so that apt's view of who needs what stays true, for images on top of this one.
set -eu
cd "$(mktemp -d)"
chmod 755 .
apt-get download -qq git
dpkg-deb -R git_*.deb git
(
  cd git
  sed -i '/^Depends:/s/, \(perl\|liberror-perl\|git-man ([^)]*)\)//g' DEBIAN/control
  rm -rf DEBIAN/md5sums usr/share/gitweb usr/share/doc usr/bin/scalar usr/bin/git-shell
  grep -lrI '^#!/usr/bin/perl' usr | xargs rm -f
  cd usr/lib/git-core
  rm -f scalar git-shell git-daemon git-http-backend git-http-fetch git-http-push git-imap-send git-instaweb
  ln -sf ../../bin/git git
)
dpkg-deb -b git git.deb >/dev/null
apt-get install -y -qq --no-install-recommends ./git.deb
rm -r "$PWD"
