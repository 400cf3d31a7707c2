#!/bin/sh
# Makes what docker-compose.yaml needs beside itself, once: secrets, data folders, the policy.
# Run again, it changes nothing that is there. Needs openssl.
#
#   sh docker/prepare.sh [FOLDER]      FOLDER: where to (default: the folder of this script)
#
# SAFEHANDS_DATA, SAFEHANDS_KEYS_SECOND: where data and the second copies of the epoch keys lie;
# SAFEHANDS_UID, SAFEHANDS_GID: whose they are. What is set goes into .env, where every later
# docker compose and this script find it. A path that is not absolute starts at the project's folder.
set -eu
umask 077
here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
into=$here
if [ $# -gt 0 ]; then mkdir -p "$1" && into=$(CDPATH='' cd "$1" && pwd); fi
# Another folder than the script's is no project, and has no .env.
if [ "$into" = "$here" ]; then dotenv=$here/../.env; else dotenv=/dev/null; fi
secrets=$into/secrets

written() { # written NAME: what .env says
    sed -n "s/^$1=//p" "$dotenv" 2> /dev/null | tail -n 1 | tr -d "\"'"
}
remember() { # remember NAME VALUE GIVEN: VALUE is what GIVEN means, for every later docker compose
    before=$(written "$1")
    if [ -z "$before" ]; then
        printf '%s=%s\n' "$1" "$2" >> "$dotenv"
    elif [ -n "$3" ] && [ "$before" != "$2" ] && [ "$before" != "$3" ]; then
        echo "$1 is $3 here and $before in .env: move what is there, change .env, run this again." >&2
        exit 1
    fi
}
made() { # made FOLDER: makes it and says its whole path
    mkdir -p "$1" && (CDPATH='' cd "$1" && pwd)
}

cd "$here/.."
owner=${SAFEHANDS_UID:-$(written SAFEHANDS_UID)}
owner=${owner:-$(id -u)}
group=${SAFEHANDS_GID:-$(written SAFEHANDS_GID)}
group=${group:-$(id -g)}
if [ "$owner" = 0 ]; then
    # Nothing runs as root: what root prepares belongs to the user of the image.
    owner=10001 group=10001
fi
data=${SAFEHANDS_DATA:-$(written SAFEHANDS_DATA)}
data=$(made "${data:-$into/data}")
second=${SAFEHANDS_KEYS_SECOND:-$(written SAFEHANDS_KEYS_SECOND)}
second=$(made "${second:-$data/keys-second}")
remember SAFEHANDS_UID "$owner" "$owner"
remember SAFEHANDS_GID "$group" "$group"
if [ -n "${SAFEHANDS_DATA:-}" ]; then remember SAFEHANDS_DATA "$data" "$SAFEHANDS_DATA"; fi
if [ -n "${SAFEHANDS_KEYS_SECOND:-}" ]; then
    remember SAFEHANDS_KEYS_SECOND "$second" "$SAFEHANDS_KEYS_SECOND"
fi

random() { openssl rand -hex 32 | tr -d "\n"; }
keep() { # keep NAME: writes its input to the secret NAME unless there is one
    if [ -s "$secrets/$1" ]; then cat > /dev/null; else cat > "$secrets/.$1" && mv "$secrets/.$1" "$secrets/$1"; fi
}
value() { cat "$secrets/$1"; }

mkdir -p "$secrets"
for folder in store metadata objects home keys notices evidence logs home/reports; do
    mkdir -p "$data/$folder"
done

for name in store_password store_admin_password metadata_password broker_password jwt_secret api_secret; do
    random | keep "$name"
done
openssl rand -base64 32 | tr "+/" "-_" | tr -d "\n" | keep fernet_key
printf '*:*:*:safehands_admin:%s\n' "$(value store_admin_password)" | keep store_pgpass
printf '*:*:*:airflow:%s\n' "$(value metadata_password)" | keep metadata_pgpass
printf 'requirepass %s\nmaxmemory-policy noeviction\n' "$(value broker_password)" | keep broker_conf
printf 'redis://:%s@broker:6379/0' "$(value broker_password)" | keep broker_url
printf '{"admin": "%s"}\n' "$(openssl rand -hex 10)" | keep login

# The object store speaks TLS with a certificate of its own authority, whose key is not kept.
if [ ! -s "$secrets/objects_cert" ]; then
    draft=$(mktemp -d)
    trap 'rm -rf "$draft"' EXIT
    openssl req -x509 -newkey rsa:3072 -nodes -days 3650 -subj "/CN=Safehands object store authority" \
        -keyout "$draft/ca.key" -out "$draft/ca" 2> /dev/null
    openssl req -newkey rsa:3072 -nodes -subj "/CN=objects" \
        -keyout "$draft/key" -out "$draft/request" 2> /dev/null
    printf 'subjectAltName=DNS:objects,DNS:localhost,IP:127.0.0.1\n' > "$draft/names"
    # Without a name of its own the serial number's file would be /tmp/tmp.srl, which may be another's.
    openssl x509 -req -days 3650 -in "$draft/request" -CA "$draft/ca" -CAkey "$draft/ca.key" \
        -CAserial "$draft/serial" -CAcreateserial -extfile "$draft/names" -out "$draft/cert" 2> /dev/null
    keep objects_ca < "$draft/ca"
    keep objects_key < "$draft/key"
    keep objects_cert < "$draft/cert"
fi
if [ ! -s "$secrets/objects_s3" ]; then
    id=$(openssl rand -hex 10)
    key=$(random)
    printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$id" "$key" \
        | keep objects_credentials
    printf '{"identities": [{"name": "safehands", "credentials": [{"accessKey": "%s", "secretKey": "%s"}], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}\n' \
        "$id" "$key" | keep objects_s3
fi

# The policy of this installation: whoever runs this declares that the store is on this host.
if [ ! -d "$into/policy" ]; then
    cp -R "$here/../include/policy" "$into/.policy"
    declared="endpoints: [{host: 'objects:8333', declared_by: '$(id -un)', declared_on: $(date +%F)}]"
    sed "s|^endpoints: \[\].*|$declared|" "$here/../include/policy/backup.yaml" > "$into/.policy/backup.yaml"
    mv "$into/.policy" "$into/policy"
fi

if [ "$(id -u)" = 0 ]; then
    chown -R "$owner:$group" "$secrets" "$data" "$second" "$into/policy"
fi
echo "ready: $secrets, $data, $second, $into/policy"
