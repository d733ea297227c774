#!/bin/sh
# Writes the Secrets of a new installation to standard output, with passwords that nobody has seen:
#   POSTGRES_USER=… POSTGRES_PASSWORD=… S3_KEYS=./s3-keys deploy/k8s/make-secrets.sh | kubectl apply -n llm-platform -f -
# POSTGRES_*: an administrator who may create roles; what means something in a URL is to be escaped.
# S3_KEYS: a file with lines `service access-key secret-key`, for gateway, llm-router, orchestrator, registry, trainer and
# provisioner (who creates the buckets).
# Keep what it writes: a lost PLATFORM_SECRET_KEY takes the tokens of all providers with it.
set -eu
: "${POSTGRES_USER:?an administrator of Postgres}" "${POSTGRES_PASSWORD:?its password}" "${S3_KEYS:?a file}"

# A letter first: NATS takes what looks like a number for one.
password() { printf 'p%s' "$(openssl rand -hex 24)"; }

s3() { # service field
  awk -v name="$1" -v field="$2" '$1 == name { print $field; found = 1 } END { exit !found }' "$S3_KEYS" ||
    { echo "$S3_KEYS says nothing of $1" >&2; return 1; }
}

secret() { # name, then lines of its own
  access=$(s3 "$1" 2) secret=$(s3 "$1" 3) nats=$(password)
  printf -- '---\napiVersion: v1\nkind: Secret\nmetadata: {name: %s}\nstringData:\n' "$1"
  printf '  PLATFORM_NATS_PASSWORD: "%s"\n' "$nats"
  printf '  PLATFORM_S3_ACCESS_KEY: "%s"\n  PLATFORM_S3_SECRET_KEY: "%s"\n' "$access" "$secret"
  shift
  printf '  %s\n' "$@"
}

for service in llm-router orchestrator registry trainer gateway; do
  role="POSTGRES_PASSWORD: \"$(password)\""
  case $service in
    gateway)
      secret gateway "$role" "PLATFORM_ADMIN_KEY: \"$(password)\"" "PLATFORM_ADMIN_PASSWORD: \"$(password)\"" ;;
    llm-router)
      # Fernet's form: 32 bytes in URL-safe base 64.
      secret llm-router "$role" "PLATFORM_SECRET_KEY: \"$(openssl rand -base64 32 | tr '+/' '-_')\"" ;;
    *)
      secret "$service" "$role" ;;
  esac
done
secret provisioner "POSTGRES_USER: \"$POSTGRES_USER\"" "POSTGRES_PASSWORD: \"$POSTGRES_PASSWORD\""
