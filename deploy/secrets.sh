#!/bin/sh
# Prints the secrets of a new fleet, each made just now, as lines NAME=value:
#   sh deploy/secrets.sh > deploy/docker/.env                                                     for docker compose
#   kubectl create secret generic im-secrets --from-env-file=…                                    see deploy/k8s/README.md
# A fleet keeps its secrets: run it once. SECURITY.md says what each opens, docs/operations.md how it is changed.
set -eu
# The file that these lines go to, if they go to one, is for its owner alone.
[ ! -f /dev/stdout ] || chmod 600 /dev/stdout
secret() { printf '%s=%s\n' "$1" "$(od -An -vtx1 -N"$2" /dev/urandom | tr -d ' \n')"; }

# Between services, and of the XMPP servers
secret SERVICE_KEY 32
# Signs who calls, from the gateway to the services
secret CALLER_KEY 32
# Keys the hashes of short codes
secret SESSION_PEPPER 32
# Encrypts the md5 of pay passwords
secret PAY_MAC_KEY 32
# The message service at the XMPP servers
secret XMPP_COMPONENT_SECRET 32
secret NATS_PASSWORD 24
secret REDIS_PASSWORD 24
# The console administrator `admin`, made at the first start
secret CONSOLE_ADMIN_PASSWORD 12
