#!/bin/sh
# Publishes a small static site with rsconnect-python. See README.md for the variables.
set -eu

python=${GATEWAY_TEST_PYTHON:?the Python in which requirements.txt is installed}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME="$scratch/home" XDG_CONFIG_HOME="$scratch/home"
site=$scratch/site
mkdir "$HOME" "$site"
printf '<!DOCTYPE html><title>site</title><p>Published by Python.</p>\n' >"$site/index.html"
# Bytes that do not compress.
head -c "${BUNDLE_BYTES:-0}" /dev/urandom >"$site/data.bin"

if [ -n "${CONNECT_CA:-}" ]; then
    set -- --cacert "$CONNECT_CA"
else
    set --
fi
"$(dirname "$python")/rsconnect" deploy html --server "$CONNECT_URL" --api-key "$CONNECT_API_KEY" \
    "$@" --new --title "Site of Python" --entrypoint index.html "$site"
echo "DEPLOYED by rsconnect-python"
