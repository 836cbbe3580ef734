#!/usr/bin/env bash
# Evenkeel and Redis under the same load in alternating runs, three copies each, on this machine.
#
#   bench/compare.sh [-r RUNS] [-n REQUESTS] [-k KEYS] [-e EVENKEEL] [-o FILE] [CASE...]
#
# A case is COMMAND:PIPELINE, such as set:16. One JSON line of `evenkeel bench` per run goes to FILE, with the server
# and the case in front; bench/medians.py makes the table. Needs redis-server; ends only what it started.
set -euo pipefail

runs=5 requests=400000 keys=100000 out=/dev/stdout
evenkeel=${CARGO_TARGET_DIR:-target}/release/evenkeel
while getopts r:n:k:e:o: option; do
  case $option in
    r) runs=$OPTARG ;; n) requests=$OPTARG ;; k) keys=$OPTARG ;; e) evenkeel=$OPTARG ;; o) out=$OPTARG ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
cases=("$@")
[ ${#cases[@]} -gt 0 ] || cases=(set:1 set:16 set:64 get:1 get:16 get:64)

dir=$(mktemp -d)
base=${BASE_PORT:-$((20000 + RANDOM % 12000))}
ek_pids=() redis_pids=()
finish() {
  kill "${ek_pids[@]}" "${redis_pids[@]}" 2>/dev/null || true
  wait
  rm -rf "$dir"
}
trap finish EXIT

members=A=127.0.0.1:$((base + 10)),B=127.0.0.1:$((base + 11)),C=127.0.0.1:$((base + 12))
for at in 0 1 2; do
  names=(A B C)
  "$evenkeel" serve --node "${names[at]}" --dir "$dir/ek$at" --members "$members" --sync everysec \
    --listen 127.0.0.1:$((base + at)) --peer-listen 127.0.0.1:$((base + 10 + at)) \
    --http-listen 127.0.0.1:$((base + 20 + at)) 2>"$dir/ek$at.log" &
  ek_pids+=($!)
  mkdir "$dir/redis$at"
  of=()
  [ $at = 0 ] || of=(--replicaof 127.0.0.1 $((base + 30)))
  redis-server --port $((base + 30 + at)) --bind 127.0.0.1 --dir "$dir/redis$at" --appendonly yes \
    --appendfsync everysec --save '' --repl-diskless-sync-delay 0 --client-output-buffer-limit replica 0 0 0 \
    "${of[@]}" >"$dir/redis$at.log" &
  redis_pids+=($!)
done
sleep 4

IFS=, ek_list="${ek_pids[*]}" redis_list="${redis_pids[*]}"
unset IFS
load() { # server, command, pipeline, requests, more flags
  local port=$base pids=$ek_list
  [ "$1" = evenkeel ] || { port=$((base + 30)) pids=$redis_list; }
  "$evenkeel" bench --target 127.0.0.1:$port --pids "$pids" -t "$2" -P "$3" -n "$4" --keys "$keys" --json "${@:5}" |
    tail -1
}

for server in evenkeel redis; do
  load $server set 64 "$keys" --distribution sequential >/dev/null
done
for ((run = 0; run < runs; run++)); do
  for one in "${cases[@]}"; do
    count=$requests
    # Without a pipeline a request costs several times as much.
    [ "${one#*:}" != 1 ] || count=$((requests / 4))
    for server in evenkeel redis; do
      echo "$server $one $(load $server "${one%:*}" "${one#*:}" "$count" --seed $((run + 1)))" >>"$out"
    done
  done
done
