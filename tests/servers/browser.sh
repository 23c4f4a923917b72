#!/usr/bin/env bash
# A browser for the tests of the page: Debian's Chromium.
#   browser.sh install    on Debian, as root: 30 s; nothing if it is there
set -euo pipefail

install() {
  command -v chromium >/dev/null && return
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium
}

"$@"
