#!/bin/sh
# Made once with OpenSSL 3.0; the tests only read the results. The keys guard nothing.
set -eu
cd "$(dirname "$0")"
openssl ecparam -name prime256v1 -genkey -noout -out sec1.key
openssl pkcs8 -topk8 -nocrypt -in sec1.key -out pkcs8.key
openssl pkcs8 -topk8 -passout pass:secret -in sec1.key -out encrypted-pkcs8.key
openssl ec -aes128 -passout pass:secret -in sec1.key -out encrypted-sec1.key
openssl genrsa -traditional -out pkcs1.key 2048
openssl req -x509 -new -key sec1.key -days 36500 -subj /CN=ca.test -out ca.pem
openssl req -x509 -new -key sec1.key -days 36500 -subj /CN=leaf.test -out leaf.pem
cat leaf.pem ca.pem > chain.pem
rm leaf.pem
