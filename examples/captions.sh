#!/usr/bin/env bash
# From pictures with captions to sentences for other pictures: train caption -> caption -> boke -> evaluate caption.
#
#   examples/captions.sh try                                          # on drawn pictures, which imgnn puts into try/
#   examples/captions.sh holiday captions.jsonl photo.jpg album/      # on your own
#
# Needs     imgnn; for your own, captions in any usual form (docs/train.md), and pictures to write sentences for.
# Makes     holiday_run/           the model
#           holiday_captions.csv   a sentence for each picture
#           holiday_boke.csv       what it says of a completely different one
#           holiday_scores.json    BLEU, ROUGE-L, CIDEr-D on the pictures that it was not trained on
#           holiday_scores.png     the first of these, with what the model and people say
# Takes     a minute for the drawn ones; some minutes for five thousand photos on two cores.
#
# The same command goes on where it stopped. Further options of imgnn train caption go into TRAIN:
#
#   TRAIN="--network googlenet" examples/captions.sh holiday captions.jsonl photo.jpg album/
set -euo pipefail

if [ $# -ne 1 ] && [ $# -lt 3 ]; then
    echo "usage: $0 NAME [DATA PICTURE...]" >&2
    exit 2
fi
name=$1
shift
read -ra train <<< "${TRAIN:-}"

if [ $# -eq 0 ]; then
    [ -e "$name" ] || imgnn demo "$name" --only-files
    set -- "$name/captions.jsonl" "$name/boat.jpg" "$name/photos/fish"
    # A hundred captions are a few steps an epoch: larger ones.
    train=(--learning-rate 0.004 "${train[@]}")
fi
data=$1
shift

# A run is never trained over: one that was stopped goes on, and one that is done stays as it is.
if [ -e "${name}_run" ]; then
    imgnn train caption --resume "${name}_run"
else
    imgnn train caption "$data" -o "${name}_run" "${train[@]}"
fi
imgnn caption "$@" --model "${name}_run" -o "${name}_captions.csv" --format csv
imgnn boke "$@" --model "${name}_run" --mode mismatch -n 1 -o "${name}_boke.csv" --format csv
imgnn evaluate caption "$data" --model "${name}_run" --sheet "${name}_scores.png" --json > "${name}_scores.json"
head -n 5 "${name}_captions.csv" "${name}_boke.csv"
