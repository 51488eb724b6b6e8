// What the model was trained on and how that went: numbers, histograms, the curve of the loss.

import { ask } from "./api.js";
import { h, number, svg } from "./elements.js";

const WIDTH = 560;
const HEIGHT = 240;
const LEFT = 44; // room for the numbers at the side
const BOTTOM = 24;

const key = (...names) =>
  h(
    "p",
    { class: "key", "aria-hidden": "true" },
    names.map((each) => h("span", { class: each, word: `key.${each}` })),
  );

/** A round number of at most `top`, to draw a line at. */
function roundStep(top, lines = 4) {
  const rough = top / lines;
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  return power * [1, 2, 5, 10].find((each) => each * power >= rough);
}

function axes(top, low = 0) {
  const step = roundStep(top - low);
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  const parts = [];
  for (let value = Math.ceil(low / step) * step; value <= top * 1.0001; value += step) {
    const y = place(value, low, top);
    parts.push(svg("line", { class: "axis", x1: LEFT, x2: WIDTH, y1: y, y2: y }));
    parts.push(text(number(value, digits), LEFT - 8, y + 4, "end"));
  }
  return parts;
}

const place = (value, low, top) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - 10) * (value - low)) / (top - low || 1);

function text(content, x, y, anchor) {
  const element = svg("text", { x, y, "text-anchor": anchor });
  element.textContent = content;
  return element;
}

const picture = (parts) =>
  svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" }, ...parts);

/** The same numbers for who does not see the drawing, or wants them exactly. */
function table(captionWord, headWords, rows) {
  return h(
    "details",
    {},
    h("summary", { word: "data.table" }),
    h(
      "div",
      { class: "wide", tabindex: "0", role: "region", labelWord: captionWord },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            headWords.map((each) => h("th", { scope: "col", word: each })),
          ),
        ),
        h(
          "tbody",
          {},
          rows.map(([first, ...rest]) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, first),
              rest.map((each) => h("td", {}, each ?? "–")),
            ),
          ),
        ),
      ),
    ),
  );
}

/** Bars of train and val beside each other, each as a share of its split: sizes differ, shapes compare. */
function histogram(word, bars, firstWord) {
  const sum = (split) => bars.reduce((total, each) => total + each[split], 0) || 1;
  const [train, val] = [sum("train"), sum("val")];
  const shares = bars.map((each) => [(100 * each.train) / train, (100 * each.val) / val]);
  const top = Math.max(...shares.flat(), 1e-9);
  const wide = (WIDTH - LEFT) / bars.length;
  const each = Math.ceil(bars.length / 12); // labels that there is room for
  const parts = axes(top);
  shares.forEach((pair, k) => {
    pair.forEach((share, side) => {
      const y = place(share, 0, top);
      const x = LEFT + wide * (k + 0.12 + 0.38 * side);
      parts.push(svg("rect", { class: side ? "val" : "train", x, y, width: wide * 0.36, height: HEIGHT - BOTTOM - y }));
    });
    // The last bar holds all that is longer, and says so; the one before it makes room.
    const end = bars.length - 1;
    if (k === end || (k % each === 0 && end - k >= each)) parts.push(text(bars[k].label, LEFT + wide * (k + 0.5), HEIGHT - 6, "middle"));
  });
  return h(
    "section",
    { class: "chart-of" },
    h("h2", { word }),
    h("p", { class: "small", word: "data.share" }),
    key("train", "val"),
    picture(parts),
    table(
      word,
      [firstWord, "split.train", "split.val"],
      bars.map((bar) => [bar.label, number(bar.train), number(bar.val)]),
    ),
  );
}

function curve(points, low, top, last, name) {
  const seen = points.filter(([, value]) => value !== null && Number.isFinite(value));
  if (!seen.length) return null;
  const x = (epoch) => LEFT + ((WIDTH - LEFT - 6) * (epoch - 1)) / Math.max(1, last - 1);
  return svg("path", {
    class: name,
    "stroke-linejoin": "round",
    fill: "none",
    d: `M${seen.map(([epoch, value]) => `${x(epoch).toFixed(1)} ${place(value, low, top).toFixed(1)}`).join("L")}`,
  });
}

function curves(word, series, rows, heads) {
  const values = series
    .flatMap(([, points]) => points.map(([, value]) => value))
    .filter((each) => each !== null && Number.isFinite(each));
  if (!values.length) return null;
  const top = Math.max(...values) * 1.02;
  const low = Math.min(0, ...values);
  const last = Math.max(...series.flatMap(([, points]) => points.map(([epoch]) => epoch)));
  const lines = series.map(([name, points]) => curve(points, low, top, last, name)).filter(Boolean);
  const ends = [text("1", LEFT, HEIGHT - 6, "start"), text(number(last), WIDTH - 6, HEIGHT - 6, "end")];
  const names = series.filter(([, points]) => points.some(([, value]) => value !== null)).map(([name]) => name);
  return h(
    "section",
    { class: "chart-of" },
    h("h2", { word }),
    h("p", { class: "small", word: `${word}.unit` }),
    names.length > 1 && key(...names),
    picture([...axes(top, low), ...lines, ...ends]),
    table(word, heads, rows),
  );
}

export function data() {
  const view = h("div", {}, h("div", { class: "bar waiting", role: "progressbar", labelWord: "loading" }, h("i")));
  fill(view);
  return view;
}

async function fill(view) {
  try {
    view.replaceChildren(...drawn(await ask("/api/data")).filter(Boolean));
  } catch (error) {
    view.replaceChildren(h("p", { class: "wrong", role: "alert" }, error.message));
  }
}

function drawn(told) {
  const fact = (word, value) => h("div", {}, h("dt", { word }), h("dd", {}, number(value)));
  const average = told.average_loss.map((value, k) => [k + 1, value]);
  const of = (name) => told.epochs.map((each) => [each.epoch, each[name]]);
  const shown = (value) => (value === null ? null : number(value, 3));
  const log = told.epochs.map((each) => [
    number(each.epoch),
    shown(each.loss),
    shown(each.val_loss),
    shown(each.floor),
  ]);
  return [
    h(
      "dl",
      { class: "big" },
      fact("data.vocabulary", told.vocabulary),
      fact("data.boke", told.train.boke + told.val.boke),
      fact("data.images", told.train.images + told.val.images),
    ),
    h(
      "section",
      { class: "part" },
      h("h2", { word: "data.counts", values: { name: told.model } }),
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("td", {}),
            h("th", { scope: "col", word: "data.boke" }),
            h("th", { scope: "col", word: "data.images" }),
            h("th", { scope: "col", word: "data.each" }),
          ),
        ),
        h(
          "tbody",
          {},
          ["train", "val"].map((split) => {
            const { boke, images } = told[split];
            return h(
              "tr",
              {},
              h("th", { scope: "row", word: `key.${split}` }),
              h("td", {}, number(boke)),
              h("td", {}, number(images)),
              h("td", {}, images ? number(boke / images, 1) : "–"),
            );
          }),
        ),
      ),
    ),
    h(
      "div",
      { class: "part two" },
      curves(
        "data.average",
        [["train", average]],
        average.map(([epoch, value]) => [number(epoch), number(value, 3)]),
        ["data.epoch", "data.average"],
      ),
      curves(
        "data.loss",
        [
          ["train", of("loss")],
          ["val", of("val_loss")],
          ["floor", of("floor")],
        ],
        log,
        ["data.epoch", "key.train", "key.val", "key.floor"],
      ),
      told.lengths.length > 0 && histogram("data.lengths", told.lengths, "data.tokens"),
      told.stars.length > 0 && histogram("data.stars", told.stars, "data.star"),
      told.boke_per_image.length > 0 && histogram("data.per_image", told.boke_per_image, "data.boke"),
    ),
  ];
}
