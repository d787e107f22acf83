#!/usr/bin/env bash
# What a small request costs: run inside the demo, with wrk (Debian package) installed:
#
#     cargo xtask demo -- bash docs/measure.sh
#
# 32 kept-alive connections over TLS 1.3 fetch 1 KiB each, with a password. The figure is the
# gateway's own CPU time, because wall-clock depends on what else the machine does.
set -euo pipefail

authorization="Authorization: Basic $(printf %s "$GATEWAY_USER:$GATEWAY_PASSWORD" | base64 -w0)"

# CPU time of the gateway so far, user and system, in ticks of 10 ms.
ticks() { echo $(($(cut -d' ' -f14,15 "/proc/$GATEWAY_PID/stat" | tr ' ' +))); }

for _ in 1 2 3 4 5; do
    before=$(ticks)
    requests=$(wrk -t1 -c32 -d5 -H "$authorization" "$GATEWAY_URL/bytes/1024" |
        awk '/requests in/ {print $1}')
    echo "$requests requests in 5 s, $((($(ticks) - before) * 10000 / requests)) µs of CPU each"
done
