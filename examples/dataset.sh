#!/bin/sh
# From lists of addresses to a list to train with, and its mean:
#
#   examples/dataset.sh pets cats.txt dogs.txt
#
# makes pets/cats/, pets/dogs/, pets_train.txt, pets_val.txt, pets_train_mean.png and what belongs to them. Each list is a
# class. The same command goes on where it stopped. FETCH holds further options of imgnn fetch: FETCH="--limit 500".
set -eu

if [ $# -lt 2 ]; then
    echo "usage: $0 NAME LIST..." >&2
    exit 2
fi
name=$1
shift

# At least half of the addresses should bring a picture: else something is wrong with the lists, or with the network.
# shellcheck disable=SC2086
imgnn fetch "$@" -o "$name" --min-success 50% ${FETCH:-}
imgnn label "$name" --split 0.8/0.2
imgnn label --show "${name}_train.txt"
imgnn mean "${name}_train.txt"
