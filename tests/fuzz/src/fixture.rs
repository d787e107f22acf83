//! A gateway with one app of each kind, every optional lane open, two realms.

use policy::{
    ApiCredentials, App, Discovery, HeaderName, IdentityHeaders, Kind, LaneRules, PathPrefix,
    Policy, PublicUrl, Realm, Spoofed, WebsocketOrigins,
};

/// The name of whoever proves who they are.
pub const USER: &str = "fuzz-user";

/// What a client writes where it tries to choose a value. No value of the gateway's has it.
pub const FORGED: &[u8] = b"forged";

/// The policy; a peer in 10.0.0.0/8 may ask for health, one in 192.0.2.0/24 is a trusted proxy.
pub fn policy(spoofed: Spoofed) -> Policy {
    let connect = App {
        strip_mount: false,
        max_body: None,
        ..app(
            "connect",
            Kind::Connect,
            "https://connect.test/",
            0,
            "X-Auth-Username",
        )
    };
    let deployr = app(
        "deployr",
        Kind::Deployr,
        "https://deployr.test/r/",
        1,
        "X-Secret-User",
    );
    let generic = app(
        "generic",
        Kind::Generic,
        "https://connect.test/app/",
        1,
        "X-Auth-Username",
    );
    let realms = ["one", "two"].map(|name| valid(Realm::new(name)));
    let trusted = valid("192.0.2.0/24".parse());
    Policy::new(
        vec![connect, deployr, generic],
        realms.into(),
        spoofed,
        vec![trusted],
    )
}

fn app(name: &str, kind: Kind, url: &str, realm: usize, header: &str) -> App {
    App {
        name: name.into(),
        kind,
        public_url: valid(PublicUrl::parse(url)),
        aliases: [].into(),
        listeners: [0].into(),
        realm,
        strip_mount: true,
        max_body: None,
        identity: IdentityHeaders {
            username: valid(HeaderName::new(header)),
        },
        lanes: LaneRules {
            health_from: [valid("10.0.0.0/8".parse())].into(),
            api_credentials: ApiCredentials {
                bearer: true,
                bootstrap: true,
            },
            discovery: Discovery {
                deployr_login: true,
                oauth: true,
            },
            anonymous: [valid(PathPrefix::new("/public"))].into(),
            strict_deploy: false,
        },
        websocket_origins: WebsocketOrigins::default(),
    }
}

fn valid<T, E: std::fmt::Debug>(value: Result<T, E>) -> T {
    value.expect("the fixture is valid")
}
