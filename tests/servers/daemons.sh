# Programs in the background, by their pid files; sourced by cluster.sh, argocd.sh and flux.sh, never run.
# They set: name (of who speaks), run (folder of pids/ and logs/).

say() { echo "$name: $*" >&2; }
die() { say "$*"; exit 1; }

# alive NAME: the process of that pid file runs, and is the one that was started (pids are reused).
alive() {
  local pid start stat
  { read -r pid <"$run/pids/$1" && read -r start <"$run/pids/$1.start" && read -r -a stat <"/proc/$pid/stat"; } 2>/dev/null &&
    [ "${stat[21]}" = "$start" ] && [ "${stat[2]}" != Z ]
}

# launch NAME COMMAND...: in the background, unless it runs; its pid and start time in pids/, its output in logs/.
launch() {
  local name=$1
  shift
  alive "$name" && return
  setsid "$@" >>"$run/logs/$name.log" 2>&1 </dev/null 9>&- &
  echo $! >"$run/pids/$name"
  cut -d' ' -f22 "/proc/$!/stat" >"$run/pids/$name.start"
}

# until_ok SECONDS WHAT NAME COMMAND...: repeat the command until it succeeds; the process NAME must live meanwhile.
until_ok() {
  local limit=$((SECONDS + $1)) what=$2 program=$3
  shift 3
  until "$@" >/dev/null 2>&1; do
    alive "$program" || die "$program ended: $(tail -n 3 "$run/logs/$program.log")"
    [ $SECONDS -lt $limit ] || die "$what: not within the time; see $run/logs/$program.log"
    sleep 0.2
  done
}

# end NAME...: ask all of them, wait ten seconds, then kill those that are left.
end() {
  local program limit=$((SECONDS + 10))
  for program in "$@"; do alive "$program" && kill "$(cat "$run/pids/$program")"; done 2>/dev/null
  for program in "$@"; do
    while alive "$program" && [ $SECONDS -lt $limit ]; do sleep 0.1; done
    if alive "$program"; then
      say "$program did not end, killed"
      kill -9 "$(cat "$run/pids/$program")"
      while alive "$program"; do sleep 0.1; done
    fi
    rm -f "$run/pids/$program" "$run/pids/$program.start"
  done
}

# sweep: the run folder goes; with KEEP_LOGS=1 its logs stay.
sweep() {
  find "$run" -mindepth 1 -maxdepth 1 ! -name logs -exec rm -rf --one-file-system {} +
  [ -n "${KEEP_LOGS:-}" ] || rm -rf "$run"
}

# packages NAME...: those of Debian's that are missing are installed.
packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
