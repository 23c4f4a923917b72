#!/bin/sh
# prune.sh ENVIRONMENT: takes out of it what no platform loads. A fifth of the libraries are tests and second clients.
set -eu
cd "$1"/lib/python3*/site-packages
rm -rf kubernetes/aio Crypto/SelfTest
find . -type d -name tests -prune -exec rm -r {} +
