#!/usr/bin/env bash
# From lists of addresses to a classifier of your own: fetch -> label -> mean -> finetune -> classify -> evaluate.
#
#   examples/classifier.sh pets cats.txt dogs.txt
#
# Needs     imgnn, and a list of addresses for each class, one a line. The network that is trained comes with imgnn.
# Makes     pets/                the pictures, in a folder for each class, and a journal of every address
#           pets_train.txt, ...  the lists of what is trained on (val: judged by, test: kept for the end)
#           pets_train_mean.*    the mean, and sheets of the pictures, to be looked at
#           pets_run/            the classifier, with report.html
#           pets_classes.jsonl   what it says of each test picture
#           pets_truth.csv       and how sure it was of the truth
# Takes     the fetching; then a minute for some hundred pictures on two cores.
#
# The same command goes on where it stopped. Further options of imgnn go into FETCH and FINETUNE:
#
#   FETCH="--limit 500" FINETUNE="--network googlenet" examples/classifier.sh pets cats.txt dogs.txt
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: $0 NAME LIST LIST..." >&2
    exit 2
fi
name=$1
shift
read -ra fetch <<< "${FETCH:-}"
read -ra finetune <<< "${FINETUNE:-}"

# At least half of the addresses should bring a picture: else something is wrong with the lists, or with the network.
imgnn fetch "$@" -o "$name" --min-success 50% "${fetch[@]}"
imgnn label "$name" --split 0.7/0.15/0.15
imgnn label --show "${name}_train.txt"
imgnn mean "${name}_train.txt"

# A run is never trained over: one that was stopped goes on, and one that is done stays as it is.
if [ -e "${name}_run" ]; then
    imgnn finetune --resume "${name}_run"
else
    imgnn finetune "${name}_train.txt" -o "${name}_run" "${finetune[@]}"
fi

# A line of a list is the path within the folder, a space, and the label.
sed "s|^|$name/|; s| [0-9]*\$||" "${name}_test.txt" |
    imgnn classify - --run "${name}_run" --json > "${name}_classes.jsonl"
imgnn evaluate classify "${name}_test.txt" --run "${name}_run" -o "${name}_truth.csv"
echo "open ${name}_run/report.html"
