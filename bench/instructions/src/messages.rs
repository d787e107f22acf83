//! What a browser, rsconnect and Connect say.

use policy::SessionToken;

/// A page that a logged-in visitor opens, as Chromium asks for it.
pub(crate) fn page(token: SessionToken) -> Vec<u8> {
    let [before, after] = PAGE;
    [before.as_bytes(), &token.encode(), after.as_bytes()].concat()
}

/// Beginning of the head up to the session's secret, and its rest.
const PAGE: [&str; 2] = [
    "GET /content/7c1b3a52-6f0e-4d0b-9a1f-2f4f7c9c1f10/?view=sales&quarter=2026Q3 HTTP/1.1\r\n\
     Host: connect.example\r\n\
     Connection: keep-alive\r\n\
     Cache-Control: max-age=0\r\n\
     sec-ch-ua: \"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\"\r\n\
     sec-ch-ua-mobile: ?0\r\n\
     sec-ch-ua-platform: \"Linux\"\r\n\
     Upgrade-Insecure-Requests: 1\r\n\
     User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/142.0.0.0 Safari/537.36\r\n\
     Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,\
     image/apng,*/*;q=0.8\r\n\
     Sec-Fetch-Site: same-origin\r\n\
     Sec-Fetch-Mode: navigate\r\n\
     Sec-Fetch-User: ?1\r\n\
     Sec-Fetch-Dest: document\r\n\
     Referer: https://connect.example/connect/\r\n\
     Accept-Encoding: gzip, deflate, br, zstd\r\n\
     Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
     Cookie: RSC-XSRF=MTc2Mzc5ODQwMHxYU1JGfGFiY2RlZg==; __Host-gateway-staff=",
    "; rsconnect=MTc2Mzc5ODQwMHxEWDhFQVFMX2dBQUJFQUVRQUFBX180QUFBUVp6ZEhKcGJtY01CUUFEZFdsa==\r\n\
     \r\n",
];

/// A bundle that rsconnect uploads, signed by it.
pub(crate) const DEPLOY: &[u8] =
    b"POST /__api__/v1/content/7c1b3a52-6f0e-4d0b-9a1f-2f4f7c9c1f10/bundles HTTP/1.1\r\n\
      Host: connect.example\r\n\
      User-Agent: RSConnect/1.5.1\r\n\
      Accept: */*\r\n\
      Accept-Encoding: deflate, gzip, br, zstd\r\n\
      Date: Sun, 22 Nov 2026 10:00:00 GMT\r\n\
      X-Auth-Token: T0123456789abcdef0123456789abcdef\r\n\
      X-Auth-Signature: dGhlIHNpZ25hdHVyZSBpcyBDb25uZWN0J3MgdG8gY2hlY2ssIGFuZCBub3Qgb3Vycy4gSXQ\
      gaXMgMTI4IGJ5dGVzIGxvbmcsIHdoaWNoIGlzIHdoYXQgYSBrZXkgb2YgMTAyNCBiaXRzIGdpdmVzIQ==\r\n\
      X-Content-Checksum: 1B2M2Y8AsgTpgAmY7PhCfg==\r\n\
      Content-Type: application/x-gzip\r\n\
      Content-Length: 184320\r\n\
      \r\n";

/// The head of Connect's answer, with 1 KiB behind it.
pub(crate) const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Cache-Control: no-cache, no-store, must-revalidate\r\n\
    Content-Length: 1024\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Date: Sun, 22 Nov 2026 10:00:00 GMT\r\n\
    Expires: 0\r\n\
    Pragma: no-cache\r\n\
    Server: Posit Connect v2026.10.0\r\n\
    Set-Cookie: rsconnect=MTc2Mzc5ODQwMXxEWDhFQVFMX2dBQUJFQUVRQUFBX180QUFBUVp6ZEhKcGJtY01CUUE=; \
    Path=/; Expires=Tue, 22 Dec 2026 10:00:00 GMT; Max-Age=2592000; HttpOnly; Secure\r\n\
    Vary: Accept-Encoding\r\n\
    X-Content-Type-Options: nosniff\r\n\
    X-Correlation-Id: 0123456789abcdef0123\r\n\
    X-Frame-Options: DENY\r\n\
    \r\n";

/// In bytes.
pub(crate) const ANSWER_BODY: usize = 1024;
