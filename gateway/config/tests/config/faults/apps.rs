//! Apps: what they refer to, what they open, where they are served.

use super::{assert_additions, assert_faults, assert_replacements};
use crate::support::{Directory, MINIMAL, minimal};

#[test]
fn references_must_exist() {
    assert_replacements(&[
        (
            "realm = \"staff\"",
            "realm = \"stuff\"",
            "19: app[0].realm",
            "no realm has this name: expected one of staff",
        ),
        (
            "pool = \"connect\"",
            "pool = \"\"",
            "20: app[0].pool",
            "no pool has this name: expected one of connect",
        ),
    ]);
    assert_additions(&[
        (
            "listeners = [\"public\", \"private\"]",
            "21: app[0].listeners[1]",
            "no listener has this name: expected one of public",
        ),
        (
            "listeners = []",
            "21: app[0].listeners",
            "expected at least one listener's name",
        ),
        (
            "listeners = [\"public\", \"public\"]",
            "21: app[0].listeners[1]",
            "this listener is named already",
        ),
        (
            "websocket_origins = \"all\"",
            "21: app[0].websocket_origins",
            "expected \"same\", \"any\", or origins",
        ),
        (
            "websocket_origins = true",
            "21: app[0].websocket_origins",
            "found a boolean",
        ),
        (
            "websocket_origins = [\"https://a.example\", \"https://b.example/\"]",
            "21: app[0].websocket_origins[1]",
            "without a slash at the end",
        ),
        (
            "websocket_ping = \"20\"",
            "21: app[0].websocket_ping",
            "a duration from 0s to 8760h",
        ),
    ]);
    let two = minimal(
        "[[realm]]",
        "[[listener]]\nname = \"b\"\naddress = \"127.0.0.1:8444\"\n\
        certificate = [{ chain = \"chain.pem\", key = \"sec1.key\" }]\n[[realm]]",
    );
    let expected = (
        "19: app[0].listeners",
        "missing: expected names of listeners, as [\"public\"], since there are several",
    );
    assert_faults(&Directory::new(), &two, &[expected]);
    let same = two.replace("8444", "8443").replace(
        "pool = \"connect\"",
        "pool = \"connect\"\nlisteners = [\"b\"]",
    );
    let expected = (
        "9: listener[1].address",
        "listener[0].address has this address already",
    );
    assert_faults(&Directory::new(), &same, &[expected]);
}

#[test]
fn two_apps_cannot_be_served_at_one_place() {
    let second = |url: &str, more: &str| {
        format!(
            "{MINIMAL}[[app]]\nname = \"b\"\nkind = \"generic\"\nrealm = \"staff\"\n\
            pool = \"connect\"\npublic_url = \"{url}\"\n{more}\n"
        )
    };
    let directory = Directory::new();
    let taken = "app[0] has this host and mount already, on the same listener";
    for (url, more, place) in [
        ("https://connect.example.com/", "", "26: app[1].public_url"),
        (
            "https://CONNECT.example.com:443/",
            "",
            "26: app[1].public_url",
        ),
        (
            "https://b.example/",
            "aliases = [\"connect.example.com\"]",
            "27: app[1].aliases[0]",
        ),
        (
            "https://b.example/",
            "aliases = [\n\"c.example\",\n\"connect.example.com:443\"]",
            "29: app[1].aliases[1]",
        ),
    ] {
        assert_faults(&directory, &second(url, more), &[(place, taken)]);
    }
    for (url, more) in [
        ("https://connect.example.com/b/", ""),
        ("https://connect.example.com:8443/", ""),
        (
            "https://b.example/",
            "aliases = [\"connect.example.com:8443\", \"b.example\"]",
        ),
    ] {
        directory.load(&second(url, more)).unwrap();
    }
}

#[test]
fn apps() {
    let url = "expected https://host[:port]/ or https://host[:port]/mount/";
    assert_replacements(&[
        (
            "kind = \"connect\"",
            "kind = \"shiny\"",
            "17: app[0].kind",
            "\"connect\" or \"deployr\" or \"generic\"",
        ),
        (
            "https://connect.example.com/",
            "http://connect.example.com/",
            "18: app[0].public_url",
            url,
        ),
        (
            "https://connect.example.com/",
            "connect.example.com",
            "18: app[0].public_url",
            url,
        ),
    ]);
    assert_additions(&[
        (
            "aliases = [\"a b\"]",
            "21: app[0].aliases[0]",
            "expected host or host:port",
        ),
        (
            "[app.identity]\nusername = \"Cookie\"",
            "22: app[0].identity.username",
            "has another meaning",
        ),
        (
            "[app.identity]\nusername = \"\"",
            "22: app[0].identity.username",
            "expected a header name",
        ),
        (
            "[app.lanes]\nanonymous = [\"public\"]",
            "22: app[0].lanes.anonymous[0]",
            "expected a path that starts with /",
        ),
    ]);
    // A name that may be secret is not repeated.
    let text = format!("{MINIMAL}[app.identity]\nusername = \"X-Top Secret\"\n");
    let faults = Directory::new().faults(&text);
    assert!(!faults.concat().contains("Secret"), "{faults:?}");
}

#[test]
fn lanes_exist_for_their_kind_only() {
    let directory = Directory::new();
    for (kind, switch, having) in [
        ("connect", "deployr_login", "\"deployr\""),
        ("deployr", "bootstrap", "\"connect\""),
        ("deployr", "oauth", "\"connect\""),
        ("generic", "bearer", "\"connect\" or \"deployr\""),
        ("generic", "bootstrap", "\"connect\""),
        ("generic", "deployr_login", "\"deployr\""),
        ("generic", "oauth", "\"connect\""),
        ("deployr", "strict_deploy", "\"connect\""),
        ("generic", "strict_deploy", "\"connect\""),
    ] {
        let text = minimal("kind = \"connect\"", &format!("kind = \"{kind}\""));
        let on = format!("{text}[app.lanes]\n{switch} = true\n");
        let place = format!("22: app[0].lanes.{switch}");
        let part = format!("kind \"{kind}\" does not have this: only {having} does");
        assert_faults(&directory, &on, &[(&place, &part)]);
        directory.load(&on.replace("true", "false")).unwrap();
    }
}

#[test]
fn connect_has_one_server() {
    let two = "[[pool.server]]\nurl = \"http://127.0.0.2\"\n[[pool.server]]";
    assert_replacements(&[(
        "[[pool.server]]",
        two,
        "22: app[0].pool",
        "exactly one server for kind \"connect\"",
    )]);
    let text = minimal("[[pool.server]]", two).replace("kind = \"connect\"", "kind = \"generic\"");
    Directory::new().load(&text).unwrap();
}
