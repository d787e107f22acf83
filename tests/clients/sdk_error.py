"""Shows how posit-sdk reports a server that answers 401. See README.md for the variables.

Prints the error and ends with status 0 if it is the SDK's own, readable kind; any other exception
goes through.
"""

import os
import sys

from posit.connect import Client
from posit.connect.errors import ClientError

if os.environ.get("CONNECT_CA"):
    # The environment beats the session's own setting in `requests`.
    os.environ["REQUESTS_CA_BUNDLE"] = os.environ["CONNECT_CA"]

with Client(os.environ["CONNECT_URL"], os.environ["CONNECT_API_KEY"]) as client:
    try:
        print("no error:", client.me["username"])
    except ClientError as error:
        print("ClientError:", error.http_status, error.error_code, error.error_message)
        sys.exit(0)
sys.exit(1)
