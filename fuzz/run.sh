#!/bin/sh
# Fuzzes the targets named, or all, one after another, each for SECONDS_EACH (600):
#
#     SECONDS_EACH=600 fuzz/run.sh images masks
#
# Needs `cargo install cargo-fuzz`. Findings land in fuzz/artifacts/TARGET.
set -eu
cd "$(dirname "$0")"
export RUSTC_BOOTSTRAP=1
limit=${SECONDS_EACH:-600}
[ $# -gt 0 ] || set -- images masks pairing layouts weights pth run_file
for target; do
    case $target in
    images | masks) dictionary=images seeds="seeds/$target ../crates/data/tests/fixtures/images" ;;
    pairing | layouts) dictionary=names seeds=seeds/$target ;;
    pth) dictionary=pth seeds=../crates/mae/tests/fixtures/public ;;
    weights) dictionary=weights seeds=seeds/weights ;;
    run_file) dictionary=run_file seeds=../configs ;;
    *)
        echo "unknown target '$target'" >&2
        exit 2
        ;;
    esac
    mkdir -p "corpus/$target"
    # The first folder is written to, the others are only read.
    # shellcheck disable=SC2086
    cargo fuzz run "$target" "corpus/$target" $seeds -- \
        -dict="dictionaries/$dictionary.dict" -rss_limit_mb=2048 -timeout=60 -max_total_time="$limit" -print_final_stats=1
done
