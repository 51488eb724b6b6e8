#!/usr/bin/env bash
# What a network of Caffe's sees, as pictures: convert -> dream -> style -> zoom film.
#
#   examples/pictures.sh try                            # a small net and drawn pictures, which imgnn puts into try/
#   examples/pictures.sh nin nin.caffemodel nin.prototxt cccp2,cccp6,cccp8 photo.jpg painting.jpg
#
# Needs     imgnn; for a network of your own its weights, its prototxt, layers of it from low to high (imgnn networks
#           FILE.keras lists them), a photo and a painting.
# Makes     nin.keras         the network, each blob checked against a second opinion
#           nin_dream.png     the photo, dreamed by the last of the layers
#           nin_style.png     that, painted like the painting
#           nin_fall.webp     a film that falls into it
# Takes     a minute for the small net on two cores. SIZE=1024 makes larger pictures, FRAMES=200 a longer film; the
#           time grows with both, and with SIZE by its square.
set -euo pipefail

if [ $# -ne 1 ] && [ $# -ne 6 ]; then
    echo "usage: $0 NAME [WEIGHTS.caffemodel DEFINITION.prototxt LAYER,... PHOTO PAINTING]" >&2
    exit 2
fi
name=$1
shift
size=${SIZE:-384}
frames=${FRAMES:-24}

if [ $# -eq 0 ]; then
    [ -e "$name" ] || imgnn demo "$name" --only-files
    set -- "$name/edges.caffemodel" "$name/edges.prototxt" edges,contours "$name/photo.jpg" "$name/painting.jpg"
fi
weights=$1 definition=$2 layers=$3 photo=$4 painting=$5
last=${layers##*,}

imgnn convert "$weights" "$definition" --verify "$photo" -o "$name.keras"
imgnn dream "$photo" --network "$name.keras" --layers "$last" --size "$size" -o "${name}_dream.png"
imgnn style "${name}_dream.png" "$painting" --network "$name.keras" --content-layers "$last" --style-layers "$layers" \
    --size "$size" -o "${name}_style.png"
imgnn dream "${name}_style.png" --network "$name.keras" --layers "$last" --zoom "$frames" -o "${name}_fall.webp"
