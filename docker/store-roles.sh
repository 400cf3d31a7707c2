#!/bin/sh
# Run once by PostgreSQL's image in an empty store: the role that Safehands sets itself up with.
# It may make databases and roles, and is no superuser.
set -eu
password=$(cat "${SAFEHANDS_ADMIN_PASSWORD_FILE:-/run/secrets/store_admin_password}")
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<SQL
SET password_encryption = 'scram-sha-256';
CREATE ROLE safehands_admin LOGIN CREATEDB CREATEROLE PASSWORD '$password';
SQL
