"""Talks HTTP/3 by curl, as libcurl with ngtcp2 and nghttp3. See README.md for the variables."""

import io
import os
import tempfile

from curl_cffi import Curl, CurlHttpVersion, CurlInfo, CurlOpt

HOST = os.environ["H3_HOST"]
PORT = os.environ["H3_PORT"]

# <curl/curl.h>: what is taken from Alt-Svc, CURLALTSVC_H1 and CURLALTSVC_H3.
ALTSVC_H1_H3 = 1 << 3 | 1 << 5


def ask(curl, path, body=None, **options):
    """Asks, and returns protocol, status, fields and body of the answer."""
    received, head = io.BytesIO(), io.BytesIO()
    fields = [b"Authorization: " + os.environ["H3_AUTHORIZATION"].encode()]
    curl.setopt(CurlOpt.URL, f"https://{HOST}:{PORT}{path}".encode())
    curl.setopt(CurlOpt.RESOLVE, [f"{HOST}:{PORT}:127.0.0.1".encode()])
    curl.setopt(CurlOpt.CAINFO, os.environ["CONNECT_CA"].encode())
    curl.setopt(CurlOpt.WRITEDATA, received)
    curl.setopt(CurlOpt.HEADERDATA, head)
    curl.setopt(CurlOpt.TIMEOUT, 20)
    if body is not None:
        curl.setopt(CurlOpt.POST, 1)
        curl.setopt(CurlOpt.POSTFIELDSIZE, len(body))
        curl.setopt(CurlOpt.POSTFIELDS, body)
        fields += [b"Content-Type: application/octet-stream", b"Expect:"]
    curl.setopt(CurlOpt.HTTPHEADER, fields)
    for name, value in options.items():
        curl.setopt(getattr(CurlOpt, name), value)
    curl.perform()
    protocol = curl.getinfo(CurlInfo.HTTP_VERSION)
    lines = head.getvalue().decode().splitlines()[1:]
    fields = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
    return protocol, curl.getinfo(CurlInfo.RESPONSE_CODE), fields, received.getvalue()


def exchanges():
    large = bytes(range(256)) * 8192
    curl = Curl()
    for path, body in [("/echo/get", None), ("/echo/post", b"small"), ("/echo/large", large)]:
        # The same handle: the connection is used again.
        protocol, status, fields, received = ask(
            curl,
            path,
            body,
            HTTP_VERSION=CurlHttpVersion.V3ONLY,
        )
        assert protocol == CurlHttpVersion.V3, protocol
        assert status == 200, (status, received)
        assert received == (body or b""), len(received)
        assert fields["content-length"] == str(len(body or b"")), fields
    assert curl.getinfo(CurlInfo.NUM_CONNECTS) == 0
    curl.close()


def alt_svc():
    """HTTP/1.1 first; what its answer says of HTTP/3 decides the next connection."""
    with tempfile.TemporaryDirectory() as directory:
        remembered = os.path.join(directory, "alt-svc")
        spoken = []
        for _ in range(2):
            curl = Curl()
            protocol, status, fields, _ = ask(
                curl,
                "/",
                HTTP_VERSION=CurlHttpVersion.V1_1 if not spoken else CurlHttpVersion.NONE,
                ALTSVC_CTRL=ALTSVC_H1_H3,
                ALTSVC=remembered.encode(),
            )
            assert status == 200, status
            spoken.append(protocol)
            # What it has learned is written down with its end.
            curl.close()
    assert spoken == [CurlHttpVersion.V1_1, CurlHttpVersion.V3], spoken


assert b"nghttp3" in Curl().version(), Curl().version()
{"exchanges": exchanges, "alt-svc": alt_svc}[os.environ["H3_WHAT"]]()
print("SERVED over HTTP/3")
