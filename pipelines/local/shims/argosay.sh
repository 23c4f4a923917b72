#!/bin/sh
# What the image argoproj/argosay does: argosay [echo [MESSAGE [FILE]] | cat [FILE...] | sleep TIME | exit [CODE] |
# sh ... | assert_contains FILE TEXT]. With nothing it says `hello argo`.
set -eu

case "${1-}" in
  "" ) echo "hello argo" ;;
  assert_contains ) grep -qF -- "$3" "$2" || { echo "$2 does not contain $3" >&2; exit 1; } ;;
  cat ) shift; cat -- "$@" ;;
  echo )
    message=${2-hello argo}
    if [ $# -ge 3 ]; then
      mkdir -p -- "$(dirname -- "$3")"
      printf '%s\n' "$message" > "$3"
    else
      printf '%s\n' "$message"
    fi ;;
  exit ) exit "${2-0}" ;;
  sleep ) exec sleep "$2" ;;
  sh ) shift; exec sh "$@" ;;
  * ) echo "usage: argosay [echo|cat|sleep|exit|sh|assert_contains]" >&2; exit 1 ;;
esac
