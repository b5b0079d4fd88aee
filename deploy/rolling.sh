#!/bin/bash
# Update the running stack to this checkout without losing a request: `make rolling`.
#
# For each replica of `app`, the script first starts a successor. When the balancer reports the successor as
# ready, the script stops the old replica, which drains: it reports not ready, finishes its requests and ends.
# If a successor does not become ready, the script removes it and leaves the old replicas running.
set -euo pipefail
cd "$(dirname "$0")/.."
PATIENCE=${PATIENCE:-120}  # seconds for a successor to become ready
after=()

app() { docker-compose ps --quiet app | sort; }

# Prints the balancer's state of each replica as CSV: `ready,app1,...,UP,...,172.18.0.4:8000,...`.
# Read the output to its end: `grep --quiet` would break the pipe, which pipefail treats as a failure.
replicas() {
  docker-compose exec -T lb bash -c \
    'exec 3<>/dev/tcp/127.0.0.1/8001 && printf "GET /replicas;csv HTTP/1.0\r\n\r\n" >&3 && cat <&3'
}

is_in_use() { # ID of a container
  local address
  address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1")
  replicas | grep "^ready,.*,UP,.*,${address//./[.]}:8000," >/dev/null
}

wait_for() { # ID of a container
  local deadline=$((SECONDS + PATIENCE))
  until is_in_use "$1"; do
    [ "$(docker inspect --format '{{.State.Status}}' "$1")" = running ] && [ $SECONDS -lt $deadline ] || return 1
    sleep 0.5
  done
}

docker-compose build app worker migrate
mapfile -t before < <(app)
if [ ${#before[@]} -eq 0 ]; then
  exec docker-compose up -d
fi
if ! replicas | grep '^# pxname' >/dev/null; then
  echo "The balancer does not report its replicas. Restart it, which closes open connections: docker-compose restart lb" >&2
  exit 1
fi
docker-compose rm --force app  # stopped containers, which Compose would start instead of new ones

# Migrate first: the previous release runs on the new schema, but not the new release on the old schema.
docker-compose run --rm --no-deps -T migrate

for old in "${before[@]}"; do
  docker-compose up -d --no-deps --no-build --no-recreate --scale "app=$((${#before[@]} + 1))" app
  successor=$(comm -13 <(printf '%s\n' "${before[@]}" "${after[@]-}" | sort) <(app))
  if ! wait_for "$successor"; then
    docker logs --tail 20 "$successor"
    docker rm --force "$successor" >/dev/null
    echo "The new version did not become ready within $PATIENCE s and was removed; see its last log lines above." \
      "${#after[@]} of ${#before[@]} replicas run it; the others are unchanged." >&2
    exit 1
  fi
  after+=("$successor")
  docker stop "$old" >/dev/null
  docker rm "$old" >/dev/null
  echo "${#after[@]} of ${#before[@]} replicas updated"
done

docker-compose up -d --no-deps --no-build worker
