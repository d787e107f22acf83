#!/bin/bash
# Checks of the units. Each is a function that fails by its first command that does; each runs in a
# process of its own, while vm-attacker tries to reach Connect all the time. What must hold over a
# reboot is left for the next boot, of which /var/lib/vm/boot keeps the number.
set -eu
config=/etc/connect-gateway/connect-gateway.toml
slice=/sys/fs/cgroup/connect.slice/connect-gateway.slice
guard=connect-gateway-guard.service
gateway=connect-gateway.service
connect=rstudio-connect.service

main() {
    case $(cat /var/lib/vm/boot 2>/dev/null || echo 1) in
        1)
            check units_are_clean
            check everything_is_up
            check guard_is_ready_before_connect_starts
            check nobody_got_in_while_booting
            check gateway_gets_through
            check gateway_runs_in_its_slice_without_privileges
            check guard_has_no_more_capabilities_than_it_needs
            check attacker_gets_in_while_the_guard_is_detached
            check restart_of_the_guard_disturbs_nobody
            check guard_that_is_killed_comes_back
            check stopped_guard_goes_on_guarding
            check restart_of_the_gateway_lets_nobody_in
            check restart_of_connect_lets_nobody_in
            check empty_slice_keeps_its_cgroup_and_the_rule
            check slice_is_not_stopped_by_hand
            check guard_that_fails_keeps_connect_from_starting_again
            check connect_returns_by_itself_once_the_guard_can_start
            check override_is_made
            next_boot 2
            ;;
        2)
            check override_survives_a_reboot
            check cleared_override_shuts_the_door
            check configuration_is_broken_for_the_next_boot
            next_boot 3
            ;;
        3)
            check guard_that_fails_at_boot_keeps_connect_down
            check repaired_guard_lets_connect_start
            echo 'vm: done'
            systemctl --no-block start poweroff.target
            ;;
    esac
}

units_are_clean() {
    local said
    said=$(systemd-analyze verify "$guard" "$gateway" "$connect" connect-gateway.slice 2>&1)
    echo "$said"
    test -z "$said"
}

everything_is_up() {
    systemctl is-active "$guard" "$gateway" "$connect" connect-gateway.slice vm-attacker
    test "$(state)" = enforcing
}

guard_is_ready_before_connect_starts() {
    local attacker ready started
    attacker=$(property vm-attacker ExecMainStartTimestampMonotonic)
    ready=$(property "$guard" ActiveEnterTimestampMonotonic)
    started=$(property "$connect" ExecMainStartTimestampMonotonic)
    echo "attacker $attacker guard $ready connect $started"
    test "$attacker" -lt "$ready"
    test "$ready" -lt "$started"
}

# It was refused while nobody listened, then denied by the guard, and never got in between.
nobody_got_in_while_booting() {
    attempts 200
    cat /run/vm-attacker/counts
    test "$(count in)" = 0
    test "$(count refused)" -gt 0
    test "$(count denied)" -gt 0
}

gateway_gets_through() {
    visit
}

gateway_runs_in_its_slice_without_privileges() {
    local pid
    pid=$(property "$gateway" MainPID)
    grep -x '0::/connect.slice/connect-gateway.slice/connect-gateway.service' "/proc/$pid/cgroup"
    grep -E '^NoNewPrivs:\s1$' "/proc/$pid/status"
    # CAP_NET_BIND_SERVICE is bit 10.
    grep -E '^CapBnd:\s0{13}400$|^CapBnd:\s0{16}$' "/proc/$pid/status"
    grep -E '^CapEff:\s0{13}400$' "/proc/$pid/status"
}

guard_has_no_more_capabilities_than_it_needs() {
    local pid bound
    pid=$(property "$guard" MainPID)
    bound=$(sed -n 's/^CapBnd:\s*//p' "/proc/$pid/status")
    # NET_ADMIN 12, SYS_PTRACE 19, SYS_ADMIN 21, PERFMON 38, BPF 39.
    test "$((16#$bound))" = "$(((1 << 12) | (1 << 19) | (1 << 21) | (1 << 38) | (1 << 39)))"
}

# The positive control of all that follows.
attacker_gets_in_while_the_guard_is_detached() {
    local before
    before=$(count in)
    connect-gateway guard detach
    attempts 200
    cat /run/vm-attacker/counts
    test "$(count in)" -gt "$before"
    connect-gateway guard --clear
    test "$(state)" = enforcing
    shut_while true
}

restart_of_the_guard_disturbs_nobody() {
    local gateway_was connect_was
    gateway_was=$(property "$gateway" MainPID)
    connect_was=$(property "$connect" MainPID)
    visiting shut_while five_times systemctl restart "$guard"
    test "$(property "$gateway" MainPID)" = "$gateway_was"
    test "$(property "$connect" MainPID)" = "$connect_was"
    test "$(state)" = enforcing
}

guard_that_is_killed_comes_back() {
    visiting shut_while five_times kill_guard
    test "$(state)" = enforcing
}

stopped_guard_goes_on_guarding() {
    visiting shut_while systemctl stop "$guard"
    systemctl is-active "$gateway" "$connect"
    test "$(systemctl is-active "$guard" || true)" = inactive
    visiting shut_while systemctl start "$guard"
    test "$(state)" = enforcing
}

restart_of_the_gateway_lets_nobody_in() {
    local was
    was=$(stat -c %i "$slice")
    shut_while five_times restart_and_visit "$gateway"
    test "$(stat -c %i "$slice")" = "$was"
}

restart_of_connect_lets_nobody_in() {
    shut_while five_times restart_and_visit "$connect"
}

empty_slice_keeps_its_cgroup_and_the_rule() {
    local was
    was=$(stat -c %i "$slice")
    shut_while systemctl stop "$gateway"
    grep -x 'populated 0' "$slice/cgroup.events"
    test "$(stat -c %i "$slice")" = "$was"
    test "$(state)" = enforcing
    systemctl is-active "$guard" connect-gateway.slice
    ask_connect "$slice"
    if ask_connect /sys/fs/cgroup/system.slice; then
        echo 'a process outside of the slice got in'
        false
    fi
    shut_while systemctl start "$gateway"
    test "$(stat -c %i "$slice")" = "$was"
    visit
}

slice_is_not_stopped_by_hand() {
    if systemctl stop connect-gateway.slice; then
        echo 'the slice was stopped'
        false
    fi
    systemctl is-active "$gateway" connect-gateway.slice
}

# What the guard pinned goes on meanwhile, and so does the Connect that runs.
guard_that_fails_keeps_connect_from_starting_again() {
    break_configuration
    if shut_while systemctl restart "$guard"; then
        echo 'the guard started'
        false
    fi
    attempts 200
    until_succeeds guard_has_failed
    visit
    if systemctl restart "$connect"; then
        echo 'Connect started'
        false
    fi
    sleep 3
    test "$(property "$connect" MainPID)" = 0
    test -z "$(ss -Hltn 'sport = 3939')"
}

connect_returns_by_itself_once_the_guard_can_start() {
    repair_configuration
    shut_while until_succeeds systemctl is-active --quiet "$connect"
    systemctl is-active "$guard"
    test "$(state)" = enforcing
    until_succeeds visit
}

override_is_made() {
    connect-gateway guard audit
    test "$(state)" = auditing
}

override_survives_a_reboot() {
    connect-gateway guard status --json || test $? = 3
    connect-gateway guard status --json | grep -F '"override":{"mode":"audit"'
    test "$(state)" = auditing
    attempts 200
    test "$(count in)" -gt 0
    visit
}

cleared_override_shuts_the_door() {
    connect-gateway guard --clear
    test "$(state)" = enforcing
    shut_while true
    visit
}

configuration_is_broken_for_the_next_boot() {
    break_configuration
}

guard_that_fails_at_boot_keeps_connect_down() {
    until_succeeds guard_has_failed
    test "$(property "$connect" MainPID)" = 0
    test -z "$(ss -Hltn 'sport = 3939')"
    attempts 200
    cat /run/vm-attacker/counts
    test "$(count in)" = 0
    test "$(count denied)" = 0
    test "$(systemctl is-active "$gateway" || true)" != active
}

repaired_guard_lets_connect_start() {
    repair_configuration
    systemctl start "$connect" "$gateway"
    test "$(state)" = enforcing
    visit
    attempts 200
    cat /run/vm-attacker/counts
    test "$(count in)" = 0
    test "$(count denied)" -gt 0
}

check() {
    if bash -eux "$0" "$1" >/run/vm-check 2>&1; then
        echo "vm: check ok $1"
    else
        cat /run/vm-check
        journalctl --no-pager --output=short-monotonic | grep -vF '"message":"refused"' | tail -n 40
        echo "vm: check FAILED $1"
    fi
}

next_boot() {
    echo "$1" >/var/lib/vm/boot
    echo 'vm: again'
    systemctl --no-block start poweroff.target
}

property() {
    systemctl show --value --property="$2" "$1"
}

# The guard's state, also where its status is not 0.
state() {
    { connect-gateway guard status --json || true; } | sed -n 's/.*"state":"\([a-z]*\)".*/\1/p'
}

count() {
    sed -n "s/^$1=//p" /run/vm-attacker/counts
}

# Waits until the attacker has tried so many times more.
attempts() {
    local until
    until=$(($(count tried) + $1))
    until_succeeds reached "$until"
}

reached() {
    test "$(count tried)" -ge "$1"
}

# Runs a command; nobody may get in meanwhile, nor soon after.
shut_while() {
    local before status=0
    before=$(count in)
    "$@" || status=$?
    attempts 200 || return
    test "$(count in)" = "$before" || return 99
    return "$status"
}

# Runs a command while a visitor uses the gateway without a pause; no visit may fail.
visiting() {
    local visitor status=0
    rm -f /run/vm-visited /run/vm-leave
    visitor_loop &
    visitor=$!
    until_succeeds test -e /run/vm-visited
    "$@" || status=$?
    touch /run/vm-leave
    wait "$visitor" || return
    return "$status"
}

visitor_loop() {
    until test -e /run/vm-leave; do
        visit || exit
        echo visit >>/run/vm-visited
    done
}

visit() {
    curl --silent --show-error --fail --max-time 30 --output /dev/null \
        --cacert /etc/connect-gateway/chain.pem https://localhost/__ping__
}

# A process in a cgroup asks Connect itself.
ask_connect() {
    local status=0
    mkdir "$1/vm"
    bash -euc 'echo 0 >"$0/cgroup.procs"; exec "$@"' "$1/vm" \
        curl --silent --show-error --fail --max-time 10 --output /dev/null \
        http://127.0.0.1:3939/__ping__ || status=$?
    rmdir "$1/vm"
    return "$status"
}

five_times() {
    local n
    for n in 1 2 3 4 5; do
        "$@" || return
    done
}

# Each time that Connect is tried again, so is the guard.
guard_has_failed() {
    test "$(systemctl is-failed "$guard")" = failed &&
        test "$(property "$guard" ExecMainStatus)" = 2
}

kill_guard() {
    local was
    was=$(property "$guard" MainPID)
    systemctl kill --signal=KILL "$guard" && until_succeeds another_guard "$was"
}

another_guard() {
    systemctl is-active --quiet "$guard" && test "$(property "$guard" MainPID)" != "$1"
}

restart_and_visit() {
    # Five restarts in a row are more than a unit may have by default.
    systemctl reset-failed "$1" || true
    systemctl restart "$1" && until_succeeds visit
}

break_configuration() {
    cp -p "$config" "$config.good"
    sed -i 's/^mode = .*/mode = "perhaps"/' "$config"
}

repair_configuration() {
    mv "$config.good" "$config"
}

until_succeeds() {
    local tries=0
    until "$@"; do
        tries=$((tries + 1))
        test "$tries" -lt 300 || return
        sleep 0.2
    done
}

if test $# = 0; then
    main
else
    "$1"
fi
