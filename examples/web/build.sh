#!/usr/bin/env bash
# Builds the page: one HTML file that holds everything. build.sh [OUT.html [KERNELS]] also makes the checks of the kernels, for Node.
#
# The standard library for wasm32-unknown-unknown is needed: `rustup target add wasm32-unknown-unknown`. Where rustup has none, RUSTC may
# name a compiler that carries the library's source, and RUSTC_BOOTSTRAP=1 lets cargo build it; the linker is then named by
# CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER. Without either the script ends with exit code 3.
set -euo pipefail

wasm=wasm32-unknown-unknown
out=$(realpath -m -- "${1:-venule.html}")
kernels=${2:+$(realpath -m -- "$2")}
# Cargo finds the flags of the target from here: .cargo/config.toml.
cd "$(dirname "${BASH_SOURCE[0]}")"
CARGO_TARGET_DIR=$(realpath -m -- "${CARGO_TARGET_DIR:-../../target}")/web
export CARGO_TARGET_DIR

compiler=${RUSTC:-rustc}
standard=()
if ! compgen -G "$("$compiler" --print target-libdir --target "$wasm")/libstd-*.rlib" >/dev/null; then
    source=$("$compiler" --print sysroot)/lib/rustlib/src/rust/library/std/Cargo.toml
    if [[ ${RUSTC_BOOTSTRAP:-} != 1 || ! -e $source ]]; then
        echo "build.sh: no standard library for $wasm; install it: rustup target add $wasm" >&2
        exit 3
    fi
    standard=(-Z build-std=std,panic_abort)
fi
built=$CARGO_TARGET_DIR/$wasm/release
pack() {
    cargo run --quiet --release --package pack -- "$@"
}
cargo build --release --package venule-web ${kernels:+--package kernels} --target "$wasm" "${standard[@]}"
mkdir -p -- "$(dirname -- "$out")"
pack "$built/venule_web.wasm" page "$out"
if [[ -n $kernels ]]; then
    pack "$built/kernels.wasm" "$kernels"
fi
