#!/bin/bash
# Update the running stack to this checkout without losing a request: `make rolling`.
#
# Each replica of `app` gets a successor first. When the balancer counts that as ready, the old one is
# stopped: it says that it is draining, and ends when the balancer has looked away and all is answered.
# Where a successor does not become ready, it is removed, and what ran before goes on running.
set -euo pipefail
cd "$(dirname "$0")/.."
PATIENCE=${PATIENCE:-120}  # seconds for a successor to become ready
after=()

app() { docker-compose ps --quiet app | sort; }

# What the balancer says of each replica it knows, as CSV: `ready,app1,...,UP,...,172.18.0.4:8000,...`.
# To be read to its end: `grep --quiet` would break the pipe, and that counts as a failure.
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
  echo "The balancer does not say whom it uses. Start it anew, which cuts who is connected: docker-compose restart lb" >&2
  exit 1
fi
docker-compose rm --force app  # those that have ended: else Compose starts them, in the place of new ones

# First the schema: the older code runs on a newer one, but not the other way round.
docker-compose run --rm --no-deps -T migrate

for old in "${before[@]}"; do
  docker-compose up -d --no-deps --no-build --no-recreate --scale "app=$((${#before[@]} + 1))" app
  successor=$(comm -13 <(printf '%s\n' "${before[@]}" "${after[@]-}" | sort) <(app))
  if ! wait_for "$successor"; then
    docker logs --tail 20 "$successor"
    docker rm --force "$successor" >/dev/null
    echo "The new version did not become ready within $PATIENCE s (its last lines are above) and is removed." \
      "${#after[@]} of ${#before[@]} replicas run it; the others run on as before." >&2
    exit 1
  fi
  after+=("$successor")
  docker stop "$old" >/dev/null
  docker rm "$old" >/dev/null
  echo "${#after[@]} of ${#before[@]} replicas updated"
done

docker-compose up -d --no-deps --no-build worker
