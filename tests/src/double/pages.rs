//! The page for browsers.

/// Says who the visitor is, echoes over a WebSocket, and claims a deployment token if the URL's
/// fragment is that of Connect's claim page.
pub(super) fn who(app: &str, name: Option<&str>, mount: &str) -> String {
    let (app, mount) = (escape(app), escape(mount));
    let name = name.map_or_else(|| "nobody".to_owned(), escape);
    format!(
        r##"<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{app}</title></head>
<body data-mount="{mount}">
<p>{app} sees you as <b id="who">{name}</b></p>
<p>WebSocket: <span id="ws">…</span></p>
<p>Token: <span id="claim">…</span></p>
<script>
const show = (id, text) => {{ document.getElementById(id).textContent = text; }};
const mount = document.body.dataset.mount;
const socket = new WebSocket(location.origin.replace(/^http/, "ws") + mount + "/ws");
socket.onopen = () => socket.send("hello");
socket.onmessage = (event) => {{ show("ws", "echo: " + event.data); socket.close(); }};
socket.onerror = () => show("ws", "failed");
const token = location.hash.match(/^#\/tokens\/(T[0-9a-f]+)/);
if (token) {{
  fetch(mount + "/__double__/claim?token=" + token[1], {{ method: "POST" }})
    .then((answer) => show("claim", answer.ok ? "claimed" : "refused: " + answer.status))
    .catch(() => show("claim", "failed"));
}}
</script>
</body>
</html>
"##
    )
}

/// Makes text safe in HTML, quoted attributes included.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_names() {
        let page = who("Connect", Some("<a&\"'>"), "");
        assert!(page.contains("sees you as <b id=\"who\">&lt;a&amp;&quot;&#39;&gt;</b>"));
        assert!(who("Connect", None, "/rsc").contains("data-mount=\"/rsc\""));
    }
}
