//! What a valid configuration yields.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use gateway_config::{
    AccessLog, AppExtra, AppTimeouts, BackendTimeouts, BodyRate, Capacity, ClientTimeouts, Level,
    Limits, Log, Method, Rate, ServerAddress, ServerTls, TlsRecords,
};
use policy::{Kind, Lane, RateKey, WebOrigin, WebsocketOrigins};
use rustls_pki_types::ServerName;

use crate::support::{Directory, MINIMAL, minimal};

#[test]
fn a_minimal_configuration_has_safe_defaults() {
    let config = Directory::new().load(MINIMAL).unwrap();
    assert_eq!(config.workers, None);
    assert_eq!(config.drain, Duration::from_secs(30));
    assert_eq!(config.max_head, 65_536);
    assert_eq!(config.tls_records, TlsRecords::Own);
    assert_eq!(config.admin.0, SocketAddr::from(([127, 0, 0, 1], 9145)));
    assert_eq!(
        (config.admin.1.key.as_str(), config.admin.1.line),
        ("admin.address", 0)
    );
    let log = Log {
        access: AccessLog::Stdout,
        level: Level::Info,
    };
    assert_eq!(config.log, log);
    let timeouts = BackendTimeouts {
        connect: Duration::from_secs(10),
        pool: Duration::from_secs(60),
    };
    assert_eq!(config.timeouts, timeouts);
    let limits = Limits {
        connections: 16_384,
        connections_per_address: 512,
        header_fields: 128,
        target: 32_768,
        body_rate: Some(BodyRate {
            least: 3840,
            window: Duration::from_secs(60),
        }),
        http3_handshakes: 64,
        http3_streams: 128,
    };
    let timeouts = ClientTimeouts {
        body: Duration::from_secs(300),
        head: Duration::from_secs(30),
        idle: Duration::from_secs(75),
    };

    let [listener] = config.listeners.as_slice() else {
        panic!("{:?}", config.listeners);
    };
    assert_eq!((listener.limits, listener.timeouts), (limits, timeouts));
    assert_eq!(&*listener.name, "public");
    assert_eq!(listener.address.0, SocketAddr::from(([127, 0, 0, 1], 8443)));
    assert_eq!(listener.address.1.line, 3);
    assert!(listener.proxy_protocol_from.is_empty());
    assert!(!listener.http3);
    let [certificate] = listener.certificates.as_slice() else {
        panic!("{:?}", listener.certificates);
    };
    assert_eq!(certificate.chain.len(), 2);
    assert_eq!(
        certificate.chain_origin.key,
        "listener[0].certificate[0].chain"
    );
    assert_eq!(
        (certificate.chain_origin.line, certificate.key_origin.line),
        (5, 6)
    );

    let [realm] = config.realms.as_slice() else {
        panic!("{:?}", config.realms);
    };
    assert_eq!(realm.session_idle, Duration::from_secs(3600));
    assert_eq!(realm.session_lifetime, Duration::from_secs(43_200));
    let Method::Basic(basic) = &realm.method;
    assert_eq!(
        (basic.users.len(), basic.cache),
        (1, Duration::from_secs(300))
    );
    assert_eq!(
        (basic.failures_per_address, basic.failures_per_account),
        (20, 10)
    );

    let [pool] = config.pools.as_slice() else {
        panic!("{:?}", config.pools);
    };
    let [server] = pool.servers.as_slice() else {
        panic!("{:?}", pool.servers);
    };
    assert_eq!(
        server.address,
        ServerAddress::Ip(IpAddr::from([127, 0, 0, 1]))
    );
    assert_eq!((server.port, &*server.url), (3939, "http://127.0.0.1:3939"));
    assert!(matches!(server.tls, ServerTls::Off));
    let capacity = Capacity {
        in_flight: 1024,
        in_flight_per_address: 896,
        queue: 256,
        queue_wait: Duration::from_secs(10),
    };
    assert_eq!(pool.capacity, capacity);

    let extra = AppExtra {
        pool: 0,
        discovery_per_minute: 120,
        rates: Vec::new(),
        timeouts: AppTimeouts {
            answer: Duration::from_secs(3600),
            tunnel: Duration::from_secs(86_400),
        },
        websocket_ping: None,
    };
    assert_eq!(config.apps, [extra]);
    let [app] = config.policy.apps() else {
        panic!("{:?}", config.policy.apps());
    };
    assert_eq!(
        (&*app.name, app.kind, app.realm),
        ("connect", Kind::Connect, 0)
    );
    assert_eq!(*app.listeners, [0]);
    assert!(app.aliases.is_empty() && !app.strip_mount && app.max_body.is_none());
    assert_eq!(app.websocket_origins, WebsocketOrigins::default());
    assert_eq!(app.identity.username.as_str(), "X-Auth-Username");
    let lanes = &app.lanes;
    assert!(lanes.health_from.is_empty() && lanes.anonymous.is_empty() && !lanes.strict_deploy);
    assert_eq!(lanes.api_credentials, policy::ApiCredentials::default());
    assert_eq!(lanes.discovery, policy::Discovery::default());
    assert!(format!("{:?}", config.policy).contains("spoofed: Strip, trusted_proxies: []"));
}

#[test]
fn every_key_takes_effect() {
    let directory = Directory::new();
    let text = r#"
[gateway]
workers = 3
drain = "0s"
trusted_proxies = ["10.0.0.7", "10.1.0.0/16"]
spoofed_headers = "reject"
max_head = 8192
tls_records = "stock"
[admin]
address = "[::1]:0"
[log]
access = "access.log"
level = "debug"
[timeouts]
head = "1ms"
idle = "2s"
body = "3m"
answer = "4h"
tunnel = "8760h"
connect = "5s"
pool = "6s"
[limits]
connections = 1
connections_per_address = 1000000
header_fields = 16
target = "8KiB"
body_rate = 2
body_window = "500ms"
http3_handshakes = 0
http3_streams = 10000
[[listener]]
name = "public"
address = "0.0.0.0:443"
proxy_protocol_from = ["10.0.0.7", "2001:db8::/32"]
certificate = [{ chain = "chain.pem", key = "sec1.key" }, { chain = "ca.pem", key = "pkcs1.key" }]
[[listener]]
name = "internal"
address = "[::]:8443"
http3 = true
certificate = [{ chain = "chain.pem", key = "pkcs8.key" }]
[listener.limits]
connections = 2
connections_per_address = 1
header_fields = 17
target = "1KiB"
body_rate = 0
body_window = "1s"
http3_handshakes = 1000000
http3_streams = 1
[listener.timeouts]
body = "7s"
head = "8s"
idle = "9s"
[[listener]]
name = "partly"
address = "[::]:8444"
certificate = [{ chain = "chain.pem", key = "pkcs8.key" }]
limits = { body_rate = 1000 }
timeouts = { idle = "10s" }
[[realm]]
name = "staff"
method = "basic"
htpasswd = "users"
session_idle = "1s"
session_lifetime = "1s"
password_cache = "0s"
failures_per_address = 1
failures_per_account = 1000000
[[realm]]
name = "guests"
method = "basic"
htpasswd = "users"
[[pool]]
name = "plain"
in_flight = 9
in_flight_per_address = 5
queue = 0
queue_wait = "1ms"
server = [{ url = "http://[::1]/" }]
[[pool]]
name = "nodes"
tls = "mutual"
ca = "ca.pem"
client_certificate = "chain.pem"
client_key = "sec1.key"
[[pool.server]]
url = "https://node-1.internal"
[[pool.server]]
url = "https://NODE-2.internal:12800/"
ca = "chain.pem"
client_certificate = "ca.pem"
client_key = "pkcs1.key"
expected_name = "deployr.example.com"
[[pool]]
name = "verified"
tls = "verify"
[[pool.server]]
url = "https://10.0.0.9"
ca = "ca.pem"
[[app]]
name = "connect"
kind = "connect"
public_url = "https://example.com/rsc/"
aliases = ["connect.internal", "10.0.0.1:8443"]
listeners = ["internal", "public"]
realm = "guests"
pool = "plain"
strip_mount = true
max_body = "4GiB"
websocket_origins = "any"
websocket_ping = "20s"
[app.timeouts]
answer = "2h"
tunnel = "3h"
[app.identity]
username = "X-Secret-User"
[app.lanes]
health_from = ["192.0.2.0/24"]
bearer = true
bootstrap = true
oauth = true
deployr_login = false
anonymous = ["/public", "/content/logo"]
strict_deploy = true
discovery_per_minute = 7
[[app.rate]]
key = "address"
per_minute = 600
[[app.rate]]
key = "token"
per_minute = 60
burst = 5
lanes = ["api_credential", "signed_deploy"]
[[app]]
name = "deployr"
kind = "deployr"
public_url = "https://deployr.example.com/"
listeners = ["public"]
realm = "staff"
pool = "nodes"
lanes = { deployr_login = true, bearer = true }
timeouts = { answer = "5h" }
websocket_origins = ["https://portal.example.com", "http://localhost:3000"]
websocket_ping = "0s"
[[app]]
name = "other"
kind = "generic"
public_url = "https://deployr.example.com/other/"
listeners = ["public"]
realm = "staff"
pool = "verified"
"#;
    let config = directory.load(text).unwrap();
    assert_eq!(config.workers.map(usize::from), Some(3));
    assert_eq!((config.drain, config.max_head), (Duration::ZERO, 8192));
    assert_eq!(config.tls_records, TlsRecords::Stock);
    assert_eq!(config.admin.0.to_string(), "[::1]:0");
    assert_eq!(
        (config.admin.1.line, config.admin.1.key.as_str()),
        (10, "admin.address")
    );
    let log = Log {
        access: AccessLog::File(directory.path("access.log")),
        level: Level::Debug,
    };
    assert_eq!(config.log, log);
    let timeouts = BackendTimeouts {
        connect: Duration::from_secs(5),
        pool: Duration::from_secs(6),
    };
    assert_eq!(config.timeouts, timeouts);
    let limits = Limits {
        connections: 1,
        connections_per_address: 1_000_000,
        header_fields: 16,
        target: 8192,
        body_rate: Some(BodyRate {
            least: 1,
            window: Duration::from_millis(500),
        }),
        http3_handshakes: 0,
        http3_streams: 10_000,
    };
    let timeouts = ClientTimeouts {
        body: Duration::from_secs(180),
        head: Duration::from_millis(1),
        idle: Duration::from_secs(2),
    };
    let [public, internal, partly] = config.listeners.as_slice() else {
        panic!("{:?}", config.listeners);
    };
    assert_eq!((public.limits, public.timeouts), (limits, timeouts));
    let own = Limits {
        connections: 2,
        connections_per_address: 1,
        header_fields: 17,
        target: 1024,
        body_rate: None,
        http3_handshakes: 1_000_000,
        http3_streams: 1,
    };
    let silence = ClientTimeouts {
        body: Duration::from_secs(7),
        head: Duration::from_secs(8),
        idle: Duration::from_secs(9),
    };
    assert_eq!((internal.limits, internal.timeouts), (own, silence));
    // What a listener does not say stays as it is elsewhere, the other half of a pair included.
    let rate = Some(BodyRate {
        least: 500,
        window: Duration::from_millis(500),
    });
    let limits = Limits {
        body_rate: rate,
        ..limits
    };
    let timeouts = ClientTimeouts {
        idle: Duration::from_secs(10),
        ..timeouts
    };
    assert_eq!((partly.limits, partly.timeouts), (limits, timeouts));
    let [first, second, third] = [0, 1, 2].map(|app| config.apps[app].timeouts);
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let silence = |answer, tunnel| AppTimeouts { answer, tunnel };
    assert_eq!(first, silence(hours(2), hours(3)));
    assert_eq!(second, silence(hours(5), hours(8760)));
    assert_eq!(third, silence(hours(4), hours(8760)));
    let proxies = &config.listeners[0].proxy_protocol_from;
    assert!(proxies[1].contains("2001:db8:1::1".parse().unwrap()));
    assert_eq!(proxies.len(), 2);
    assert!(!public.http3 && internal.http3);
    assert_eq!(config.listeners[0].certificates.len(), 2);
    assert_eq!(config.listeners[1].address.0.to_string(), "[::]:8443");

    let realm = &config.realms[0];
    assert_eq!(realm.session_idle, Duration::from_secs(1));
    assert_eq!(realm.session_lifetime, Duration::from_secs(1));
    let Method::Basic(basic) = &realm.method;
    assert_eq!(basic.cache, Duration::ZERO);
    assert_eq!(
        (basic.failures_per_address, basic.failures_per_account),
        (1, 1_000_000)
    );
    let names: Vec<&str> = config
        .policy
        .realms()
        .iter()
        .map(|realm| realm.name())
        .collect();
    assert_eq!(names, ["staff", "guests"]);

    let plain = &config.pools[0].servers[0];
    assert_eq!(plain.address, ServerAddress::Ip("::1".parse().unwrap()));
    assert_eq!(plain.port, 80);
    let [first, second] = config.pools[1].servers.as_slice() else {
        panic!("{:?}", config.pools[1]);
    };
    assert_eq!(first.address, ServerAddress::Name("node-1.internal".into()));
    assert_eq!((first.port, second.port), (443, 12800));
    let (
        ServerTls::Mutual {
            verify,
            certificate,
        },
        ServerTls::Mutual { verify: own, .. },
    ) = (&first.tls, &second.tls)
    else {
        panic!("{first:?} {second:?}");
    };
    assert_eq!((verify.ca.len(), own.ca.len()), (1, 2));
    assert_eq!(verify.ca_origin.key, "pool[1].ca");
    assert_eq!(own.ca_origin.key, "pool[1].server[1].ca");
    assert_eq!(
        verify.expected_name,
        ServerName::try_from("node-1.internal").unwrap()
    );
    assert_eq!(
        own.expected_name,
        ServerName::try_from("deployr.example.com").unwrap()
    );
    assert_eq!(certificate.chain_origin.key, "pool[1].client_certificate");
    let ServerTls::Mutual { certificate, .. } = &second.tls else {
        panic!("{second:?}");
    };
    assert_eq!(
        certificate.chain_origin.key,
        "pool[1].server[1].client_certificate"
    );
    assert_eq!(certificate.chain.len(), 1);
    let ServerTls::Verify(verify) = &config.pools[2].servers[0].tls else {
        panic!("{:?}", config.pools[2]);
    };
    assert_eq!(
        verify.expected_name,
        ServerName::try_from("10.0.0.9").unwrap()
    );

    let [connect, deployr, other] = config.policy.apps() else {
        panic!("{:?}", config.policy.apps());
    };
    assert_eq!((*connect.listeners).to_vec(), [1, 0]);
    assert_eq!((connect.realm, config.apps[0].pool), (1, 0));
    assert_eq!(config.apps[0].discovery_per_minute, 7);
    assert_eq!(connect.max_body, Some(4 << 30));
    let lanes = [
        Lane::Anonymous,
        Lane::ApiCredential,
        Lane::Discovery,
        Lane::Health,
        Lane::SignedDeploy,
        Lane::User,
    ];
    let rates = [
        Rate {
            key: RateKey::Address,
            per_minute: 600,
            burst: 600,
            lanes: lanes.to_vec(),
        },
        Rate {
            key: RateKey::Token,
            per_minute: 60,
            burst: 5,
            lanes: vec![Lane::ApiCredential, Lane::SignedDeploy],
        },
    ];
    assert_eq!(config.apps[0].rates, rates);
    let capacity = Capacity {
        in_flight: 9,
        in_flight_per_address: 5,
        queue: 0,
        queue_wait: Duration::from_millis(1),
    };
    assert_eq!(config.pools[0].capacity, capacity);
    assert_eq!(config.apps[0].websocket_ping, Some(Duration::from_secs(20)));
    assert_eq!(config.apps[1].websocket_ping, None);
    assert_eq!(connect.websocket_origins, WebsocketOrigins::Any);
    let and = ["https://portal.example.com", "http://localhost:3000"];
    let and = and.map(|origin| WebOrigin::parse(origin).unwrap()).into();
    assert_eq!(deployr.websocket_origins, WebsocketOrigins::Own { and });
    assert_eq!(other.websocket_origins, WebsocketOrigins::default());
    assert_eq!(connect.public_url.mount().as_str(), "/rsc");
    assert!(connect.strip_mount && connect.lanes.strict_deploy);
    let aliases: Vec<String> = connect.aliases.iter().map(ToString::to_string).collect();
    assert_eq!(aliases, ["connect.internal", "10.0.0.1:8443"]);
    assert_eq!(connect.identity.username.as_str(), "X-Secret-User");
    assert_eq!(
        (
            connect.lanes.health_from.len(),
            connect.lanes.anonymous.len()
        ),
        (1, 2)
    );
    let lanes = (connect.lanes.api_credentials, connect.lanes.discovery);
    assert!(lanes.0.bearer && lanes.0.bootstrap && lanes.1.oauth && !lanes.1.deployr_login);
    let lanes = (deployr.lanes.api_credentials, deployr.lanes.discovery);
    assert!(lanes.0.bearer && !lanes.0.bootstrap && !lanes.1.oauth && lanes.1.deployr_login);
    assert_eq!((deployr.realm, config.apps[1].pool), (0, 1));
    assert_eq!((other.kind, config.apps[2].pool), (Kind::Generic, 2));
    let policy = format!("{:?}", config.policy);
    assert!(
        policy.contains("spoofed: Reject, trusted_proxies: [IpNet"),
        "{policy}"
    );
}

#[test]
fn the_same_place_on_different_listeners_is_no_conflict() {
    let text = minimal(
        "[[realm]]",
        "[[listener]]\nname = \"second\"\naddress = \"127.0.0.1:0\"\n\
        certificate = [{ chain = \"chain.pem\", key = \"pkcs8.key\" }]\n[[realm]]",
    )
    .replace(
        "realm = \"staff\"",
        "realm = \"staff\"\nlisteners = [\"public\"]",
    );
    let second = "[[app]]\nname = \"second\"\nkind = \"generic\"\nrealm = \"staff\"\n\
        pool = \"connect\"\nlisteners = [\"second\"]\npublic_url = \"https://connect.example.com/\"\n";
    Directory::new().load(&format!("{text}{second}")).unwrap();
}

#[test]
fn listeners_may_share_port_zero() {
    let text = minimal("8443", "0");
    let second = "[[listener]]\nname = \"second\"\naddress = \"127.0.0.1:0\"\n\
        certificate = [{ chain = \"chain.pem\", key = \"pkcs8.key\" }]\n\
        [admin]\naddress = \"127.0.0.1:0\"\n";
    let text = text.replace(
        "realm = \"staff\"",
        "realm = \"staff\"\nlisteners = [\"public\"]",
    );
    Directory::new().load(&format!("{text}{second}")).unwrap();
}
