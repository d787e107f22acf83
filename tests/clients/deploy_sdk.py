"""Publishes a small static site with posit-sdk. See README.md for the variables."""

import io
import json
import os
import tarfile

from posit.connect import Client


def bundle() -> bytes:
    files = {
        "index.html": b"<!DOCTYPE html><title>site</title><p>Published by the SDK.</p>\n",
        "manifest.json": json.dumps(
            {
                "version": 1,
                "metadata": {"appmode": "static", "primary_html": "index.html"},
                "files": {"index.html": {"checksum": ""}},
            }
        ).encode(),
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


if os.environ.get("CONNECT_CA"):
    # The environment beats the session's own setting in `requests`.
    os.environ["REQUESTS_CA_BUNDLE"] = os.environ["CONNECT_CA"]

with Client(os.environ["CONNECT_URL"], os.environ["CONNECT_API_KEY"]) as client:
    content = client.content.create(name="site-of-sdk")
    task = content.bundles.create(bundle()).deploy()
    task.wait_for()
    assert task.error_code == 0, task.error_message
    print("DEPLOYED by posit-sdk as", client.me["username"])
