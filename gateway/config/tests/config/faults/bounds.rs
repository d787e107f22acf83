//! Values out of their bounds.

use super::{assert_additions, assert_faults, assert_replacements};
use crate::support::{Directory, minimal};

#[test]
fn values_out_of_bounds() {
    let duration =
        "expected a duration from 1ms to 8760h, as \"500ms\", \"30s\", \"5m\" or \"12h\"";
    let head = "expected bytes or a size from \"8KiB\" to \"1MiB\"";
    let workers = "expected \"auto\" or a number from 1 to 1024";
    let count = "expected a number from 1 to 1000000";
    assert_additions(&[
        ("[gateway]\nworkers = 0", "22: gateway.workers", workers),
        ("[gateway]\nworkers = 1025", "22: gateway.workers", workers),
        ("[gateway]\nworkers = -1", "22: gateway.workers", workers),
        ("[gateway]\nworkers = \"4\"", "22: gateway.workers", workers),
        (
            "[gateway]\ndrain = \"8761h\"",
            "22: gateway.drain",
            "expected a duration from 0s to 8760h",
        ),
        (
            "[gateway]\ndrain = \"1d\"",
            "22: gateway.drain",
            "expected a duration",
        ),
        (
            "[gateway]\nspoofed_headers = \"pass\"",
            "22: gateway.spoofed_headers",
            "\"strip\" or \"reject\"",
        ),
        (
            "[gateway]\ntls_records = \"kernel\"",
            "22: gateway.tls_records",
            "\"own\" or \"stock\"",
        ),
        ("[gateway]\nmax_head = 8191", "22: gateway.max_head", head),
        (
            "[gateway]\nmax_head = \"1025KiB\"",
            "22: gateway.max_head",
            head,
        ),
        (
            "[gateway]\nmax_head = 9223372036854775808",
            "22: gateway.max_head",
            head,
        ),
        (
            "[gateway]\nmax_head = \"64 KiB\"",
            "22: gateway.max_head",
            head,
        ),
        (
            "[log]\naccess = \"Stdout\"",
            "22: log.access",
            "\"stdout\", \"off\", or a file's path",
        ),
        (
            "[log]\naccess = \"\"",
            "22: log.access",
            "\"stdout\", \"off\", or a file's path",
        ),
        (
            "[log]\nlevel = \"trace\"",
            "22: log.level",
            "expected \"error\"",
        ),
        ("[timeouts]\nhead = \"0s\"", "22: timeouts.head", duration),
        ("[timeouts]\nidle = \"0ms\"", "22: timeouts.idle", duration),
        ("[timeouts]\nbody = \"\"", "22: timeouts.body", duration),
        (
            "[timeouts]\nanswer = \"0m\"",
            "22: timeouts.answer",
            duration,
        ),
        (
            "[timeouts]\ntunnel = \"-1s\"",
            "22: timeouts.tunnel",
            duration,
        ),
        (
            "[timeouts]\nconnect = \"0h\"",
            "22: timeouts.connect",
            duration,
        ),
        (
            "[timeouts]\npool = \"9000h\"",
            "22: timeouts.pool",
            duration,
        ),
        ("[limits]\nconnections = 0", "22: limits.connections", count),
        (
            "[limits]\nheader_fields = 129",
            "22: limits.header_fields",
            "expected a number from 16 to 128",
        ),
        (
            "[limits]\ntarget = \"65KiB\"",
            "22: limits.target",
            "expected bytes or a size from \"1KiB\" to max_head, which is 65536 bytes",
        ),
        (
            "[limits]\ntarget = 1023",
            "22: limits.target",
            "expected bytes or a size from \"1KiB\"",
        ),
        (
            "[limits]\nbody_rate = -1",
            "22: limits.body_rate",
            "expected a number from 0 to 1000000",
        ),
        (
            "[limits]\nbody_window = \"0s\"",
            "22: limits.body_window",
            duration,
        ),
        (
            "[limits]\nhttp3_handshakes = 1000001",
            "22: limits.http3_handshakes",
            "expected a number from 0 to 1000000",
        ),
        (
            "[limits]\nhttp3_streams = 0",
            "22: limits.http3_streams",
            "expected a number from 1 to 10000",
        ),
        (
            "max_body = 0",
            "21: app[0].max_body",
            "expected bytes or a size, as \"64MiB\" or \"4GiB\"",
        ),
        (
            "[[app.rate]]\nkey = \"host\"\nper_minute = 1",
            "22: app[0].rate[0].key",
            "expected \"address\" or \"user\" or \"lane\" or \"token\"",
        ),
        (
            "[[app.rate]]\nkey = \"user\"",
            "21: app[0].rate[0].per_minute",
            "missing: expected a number from 1 to 1000000",
        ),
        (
            "[[app.rate]]\nkey = \"user\"\nper_minute = 5\nburst = 6",
            "24: app[0].rate[0].burst",
            "expected a number from 1 to 5",
        ),
        (
            "[[app.rate]]\nkey = \"user\"\nper_minute = 5\nlanes = [\"denied\"]",
            "24: app[0].rate[0].lanes[0]",
            "expected lanes, of \"anonymous\", \"api_credential\"",
        ),
        (
            "[limits]\nconnections_per_address = 1000001",
            "22: limits.connections_per_address",
            count,
        ),
        (
            "[app.lanes]\ndiscovery_per_minute = 0",
            "22: app[0].lanes.discovery_per_minute",
            count,
        ),
    ]);
    assert_replacements(&[
        (
            "[[listener.certificate]]",
            "proxy_protocol_from = [\"::/0\"]\n[[listener.certificate]]",
            "4: listener[0].proxy_protocol_from[0]",
            "any client could then choose its own address",
        ),
        (
            "[[listener.certificate]]",
            "http3 = true\nproxy_protocol_from = [\"10.0.0.7\"]\n[[listener.certificate]]",
            "4: listener[0].http3",
            "PROXY protocol has no form for QUIC",
        ),
        (
            "[[pool.server]]",
            "in_flight = 0\n[[pool.server]]",
            "13: pool[0].in_flight",
            count,
        ),
        (
            "[[pool.server]]",
            "queue = 1000001\n[[pool.server]]",
            "13: pool[0].queue",
            "expected a number from 0 to 1000000",
        ),
        (
            "[[pool.server]]",
            "queue_wait = \"0s\"\n[[pool.server]]",
            "13: pool[0].queue_wait",
            duration,
        ),
        (
            "htpasswd",
            "session_idle = \"0s\"\nhtpasswd",
            "10: realm[0].session_idle",
            "from 1s to 8760h",
        ),
        (
            "htpasswd",
            "failures_per_address = 0\nhtpasswd",
            "10: realm[0].failures_per_address",
            count,
        ),
        (
            "htpasswd",
            "failures_per_account = 1000001\nhtpasswd",
            "10: realm[0].failures_per_account",
            count,
        ),
        (
            "htpasswd",
            "password_cache = \"1\"\nhtpasswd",
            "10: realm[0].password_cache",
            "from 0s to 8760h",
        ),
        (
            "method = \"basic\"",
            "method = \"ldap\"",
            "9: realm[0].method",
            "expected \"basic\"",
        ),
    ]);
}

#[test]
fn sessions_cannot_be_silent_for_longer_than_they_live() {
    let place = "10: realm[0].session_lifetime";
    assert_replacements(&[
        (
            "htpasswd",
            "session_lifetime = \"30m\"\nhtpasswd",
            place,
            "at least session_idle, which is 1h",
        ),
        (
            "htpasswd",
            "session_idle = \"13h\"\nhtpasswd",
            "7: realm[0].session_lifetime",
            "which is 13h",
        ),
        (
            "htpasswd",
            "session_lifetime = \"5s\"\nsession_idle = \"6s\"\nhtpasswd",
            place,
            "which is 6s",
        ),
    ]);
}

#[test]
fn addresses() {
    let expected = "expected an address with its port, as \"0.0.0.0:443\" or \"[::]:443\"";
    assert_replacements(&[
        (
            "127.0.0.1:8443",
            "localhost:8443",
            "3: listener[0].address",
            expected,
        ),
        (
            "127.0.0.1:8443",
            "127.0.0.1",
            "3: listener[0].address",
            expected,
        ),
        (
            "127.0.0.1:8443",
            "::1:8443x",
            "3: listener[0].address",
            expected,
        ),
        (
            "127.0.0.1:8443",
            "127.0.0.1:9145",
            "3: listener[0].address",
            "admin.address has this address already",
        ),
    ]);
    let everyone =
        "the whole address space is refused: any client could then choose its own address";
    assert_additions(&[
        (
            "[gateway]\ntrusted_proxies = [\"10.0.0.1/8\"]",
            "22: gateway.trusted_proxies[0]",
            "beyond its prefix",
        ),
        (
            "[gateway]\ntrusted_proxies = [\"proxy\"]",
            "22: gateway.trusted_proxies[0]",
            "expected an address",
        ),
        (
            "[gateway]\ntrusted_proxies = [\"::1\", \"0.0.0.0/0\"]",
            "22: gateway.trusted_proxies[1]",
            everyone,
        ),
        (
            "[gateway]\ntrusted_proxies = [\"::/0\"]",
            "22: gateway.trusted_proxies[0]",
            everyone,
        ),
        (
            "[gateway]\ntrusted_proxies = [\"::ffff:0:0/96\"]",
            "22: gateway.trusted_proxies[0]",
            everyone,
        ),
        (
            "[app.lanes]\nhealth_from = [\"0.0.0.0/0\"]",
            "22: app[0].lanes.health_from[0]",
            "the whole address space is refused: the back-end's health page would be open to everyone",
        ),
    ]);
}

#[test]
fn names_are_plain_and_unique() {
    let name = "expected a name of 1 to 32 characters of a-z, 0-9 and -";
    assert_replacements(&[
        (
            "name = \"public\"",
            "name = \"Public\"",
            "2: listener[0].name",
            name,
        ),
        (
            "name = \"public\"",
            "name = \"\"",
            "2: listener[0].name",
            name,
        ),
        (
            "name = \"public\"",
            "name = \"a_b\"",
            "2: listener[0].name",
            name,
        ),
        (
            "name = \"public\"",
            "name = \"abcdefghijklmnopqrstuvwxyz-123456\"",
            "2: listener[0].name",
            name,
        ),
        (
            "[[pool]]",
            "[[realm]]\nname = \"staff\"\nmethod = \"basic\"\nhtpasswd = \"users\"\n[[pool]]",
            "12: realm[1].name",
            "realm[0] has this name already",
        ),
        (
            "[[app]]",
            "[[pool]]\nname = \"connect\"\nserver = [{ url = \"http://[::1]\" }]\n[[app]]",
            "16: pool[1].name",
            "pool[0] has this name already",
        ),
    ]);
    assert_additions(&[(
        "[[app]]\nname = \"connect\"\nkind = \"generic\"\npublic_url = \"https://x.example/\"\n\
            realm = \"staff\"\npool = \"connect\"",
        "22: app[1].name",
        "app[0] has this name already",
    )]);
    // A bad name is one fault, not another one for each reference to it.
    let text = minimal("name = \"staff\"", "name = \"Staff\"")
        .replace("realm = \"staff\"", "realm = \"Staff\"");
    assert_faults(&Directory::new(), &text, &[("8: realm[0].name", name)]);
}

#[test]
fn server_urls() {
    let expected = "expected http://host[:port] or https://host[:port], without a path";
    let place = "14: pool[0].server[0].url";
    assert_replacements(&[
        ("http://127.0.0.1:3939", "127.0.0.1:3939", place, expected),
        (
            "http://127.0.0.1:3939",
            "http://127.0.0.1:3939/rsc",
            place,
            expected,
        ),
        (
            "http://127.0.0.1:3939",
            "http://127.0.0.1:3939//",
            place,
            expected,
        ),
        (
            "http://127.0.0.1:3939",
            "http://127.0.0.1:0",
            place,
            expected,
        ),
        ("http://127.0.0.1:3939", "http://", place, expected),
        ("http://127.0.0.1:3939", "http://user@host", place, expected),
        ("http://127.0.0.1:3939", "http://127.1", place, expected),
        ("http://127.0.0.1:3939", "http://a..b", place, expected),
        ("http://127.0.0.1:3939", "http://host?", place, expected),
        ("http://127.0.0.1:3939", "unix:///run/x", place, expected),
        (
            "http://127.0.0.1:3939",
            "https://127.0.0.1",
            place,
            "expected an http URL, or tls = \"verify\" or \"mutual\" in the pool",
        ),
    ]);
}
