# Runs inside the demo, as `cargo xtask demo -- sh -eu -c …`; shows that its facts are true.
visit() { curl --silent --show-error --max-time 10 --cacert "$GATEWAY_CA" "$@"; }
user() { visit --fail --user "$GATEWAY_USER:$GATEWAY_PASSWORD" --header 'X-Auth-Username: admin' "$@"; }

status=$(visit --output /dev/null --write-out '%{http_code}' "$GATEWAY_URL/")
test "$status" = 401
user "$GATEWAY_URL/" | grep -F ">$GATEWAY_USER<"
user "$DEPLOYR_URL/" | grep -F ">$GATEWAY_USER<"

requests=$(visit --fail "$INSPECT_URL/requests")
echo "$requests" | grep -q -F "X-Auth-Username: $GATEWAY_USER"
if echo "$requests" | grep -F 'X-Auth-Username: admin'; then exit 1; fi
visit --fail "$GATEWAY_METRICS" | grep -F 'connect_gateway_requests_total{' > /dev/null

direct() { visit --fail --header 'X-Auth-Username: direct' "$CONNECT_URL/"; }
if [ -n "${DEMO_CGROUP:-}" ]; then
    refused=0
    direct || refused=$?
    test "$refused" = 7         # could not connect
    "$GATEWAY_PROGRAM" guard status --config "$GATEWAY_CONFIG"
    # Not the double refuses, but the guard: from the gateway's cgroup it answers.
    (
        exec sh -eu -c 'echo 0 > "$DEMO_CGROUP/gateway/cgroup.procs"
            exec curl --silent --show-error --max-time 10 --header "X-Auth-Username: direct" "$CONNECT_URL/"'
    ) | grep -F '>direct<'
    echo "guarded"
else
    direct | grep -F '>direct<'
fi

test -f "$GATEWAY_CONFIG"
kill -0 "$GATEWAY_PID"
sleep 600 &     # must not outlive the demo
echo "left behind: $!"
exit 7
