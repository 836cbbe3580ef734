#!/usr/bin/env bash
# What three nodes take besides CPU per request: memory per key and copy, bytes per SET, CPU and traffic when idle.
#
#   bench/footprint.sh EVENKEEL KEYS
#
# Needs curl; ends only what it started.
set -euo pipefail
evenkeel=$1 keys=$2

dir=$(mktemp -d)
base=${BASE_PORT:-$((20000 + RANDOM % 12000))}
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
members=A=127.0.0.1:$((base + 10)),B=127.0.0.1:$((base + 11)),C=127.0.0.1:$((base + 12))
names=(A B C)
for at in 0 1 2; do
  "$evenkeel" serve --node "${names[at]}" --dir "$dir/$at" --members "$members" --listen 127.0.0.1:$((base + at)) \
    --peer-listen 127.0.0.1:$((base + 10 + at)) --http-listen 127.0.0.1:$((base + 20 + at)) 2>"$dir/$at.log" &
  pids+=($!)
done

rss_kib() { for pid in "${pids[@]}"; do awk '/VmRSS/ { print $2 }' "/proc/$pid/status"; done; }
cpu_ticks() { for pid in "${pids[@]}"; do awk '{ print $14 + $15 }' "/proc/$pid/stat"; done; }
# What node A has sent to B and C.
sent() { curl -s "127.0.0.1:$((base + 20))/metrics" | awk '/^evenkeel_link_sent_bytes_total/ { print $2 }'; }
# OLD NEW DIVISOR LABEL: the differences, each divided.
differences() {
  paste <(echo "$1") <(echo "$2") | awk -v by="$3" -v what="$4" '{ printf "%s %.2f\n", what, ($2 - $1) / by }'
}

idle() {
  local cpu traffic
  cpu=$(cpu_ticks) traffic=$(sent)
  sleep 30
  differences "$cpu" "$(cpu_ticks)" 30 "idle $1: % of a core, per node:"
  differences "$traffic" "$(sent)" 30000 "idle $1: kB/s from A, per peer:"
}

sleep 3
before=$(rss_kib) traffic=$(sent)
"$evenkeel" bench --target 127.0.0.1:$base -t set -P 64 -n "$keys" --keys "$keys" --distribution sequential >/dev/null
sleep 8
differences "$traffic" "$(sent)" "$keys" "bytes per SET from A, per peer:"
sleep 30
differences "$(awk '{ print $1 * 1024 }' <<<"$before")" "$(rss_kib | awk '{ print $1 * 1024 }')" "$keys" \
  "bytes of memory per key, per node:"
idle "with $keys keys"
