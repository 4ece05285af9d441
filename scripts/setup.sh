# Sourced by ./reproduce and ./test: installs what is missing from Debian's packages, configures and builds. A caller that
# needs more than scripts/packages.txt names further lists in more_packages.
set -euo pipefail

say() { printf '\n== %s\n' "$*"; }

install_missing() { # list...
  local wanted missing=()
  while read -r wanted; do
    dpkg-query -W -f='${Status}' "$wanted" 2>/dev/null | grep -q 'ok installed' || missing+=("$wanted")
  done < <(sed 's/#.*//; /^[[:space:]]*$/d' "$@")
  [ ${#missing[@]} -eq 0 ] && return
  say "Installing ${missing[*]}"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "expected root or sudo, to install: ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
  fi
  # A list that is too old to know a package is refreshed; one that was just refreshed is not fetched again.
  apt_install() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  }
  apt_install 2>/dev/null || { "${as_root[@]}" apt-get update -qq && apt_install; }
}

build() { # preset [target...]
  say "Building (preset $1)"
  cmake --preset "$1" >build-configure.log 2>&1 || { cat build-configure.log >&2; rm -f build-configure.log; exit 1; }
  rm -f build-configure.log
  cmake --build --preset "$1" ${2:+--target "${@:2}"}
}

install_missing scripts/packages.txt "${more_packages[@]}"
