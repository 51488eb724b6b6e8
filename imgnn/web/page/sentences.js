// What is said of a picture, with thumbs: shared by Generate and the playground.

import { ask } from "./api.js";
import { announce, h, icon, languageOf, number, say } from "./elements.js";

export const said = (text) => h("p", { class: "line", lang: languageOf(text) }, text);

/** Thumbs up and down. A second press takes it back; what was not saved is not shown. */
function thumbs(line, picture) {
  let value = line.rating;
  const problem = h("p", { class: "wrong about", role: "alert", hidden: true });
  const buttons = [
    [1, "up", "rate.up"],
    [-1, "down", "rate.down"],
  ].map(([each, name, labelWord]) =>
    h(
      "button",
      { type: "button", labelWord, values: { text: line.text }, "data-value": each, on: { click: () => rate(each) } },
      icon(name),
    ),
  );
  const show = () => {
    for (const each of buttons) each.setAttribute("aria-pressed", String(Number(each.dataset.value) === value));
  };

  async function rate(pressed) {
    const before = value;
    value = pressed === before ? 0 : pressed;
    show();
    problem.hidden = true;
    try {
      await ask("/api/rate", { json: { picture, text: line.text, mode: line.mode, value } });
      announce(value ? "rate.saved" : "rate.back");
    } catch (error) {
      value = before;
      show();
      problem.hidden = false;
      problem.textContent = error.message;
    }
  }

  show();
  return [h("div", { class: "rate", role: "group", labelWord: "rate", values: { text: line.text } }, buttons), problem];
}

function about(line) {
  const told = [];
  if (line.mode !== "retrieve" && line.novel !== null) {
    told.push(h("span", { class: line.novel ? "chip new" : "chip", word: line.novel ? "line.new" : "line.copy" }));
  }
  if (line.per_token !== null) {
    const values = { number: number(line.per_token, 2) };
    told.push(h("span", { class: "number", word: "line.per_token", values, title: say("line.per_token.long") }));
  }
  if (line.nearest && line.novel !== false && line.mode !== "retrieve") {
    const { text, similarity } = line.nearest;
    told.push(h("span", { word: "line.nearest", values: { text, percent: number(100 * similarity) } }));
  }
  if (line.donor) {
    const picture = line.donor.image && h("img", { src: line.donor.image, alt: "", loading: "lazy" });
    const word = line.mode === "retrieve" ? "line.taken" : "line.donor";
    told.push(
      h(
        "span",
        { class: "donor" },
        picture,
        h("span", { word, values: { name: line.donor.name, distance: number(line.donor.distance, 2) } }),
      ),
    );
  }
  return h("div", { class: "about" }, told);
}

/** Boke as a list, the best first. `picture`: the number of a known one, or null. */
export const boke = (lines, picture) =>
  h(
    "ol",
    { class: "said" },
    lines.map((each) => h("li", {}, said(each.text), thumbs(each, picture), about(each))),
  );

export const captions = (lines) =>
  h(
    "ol",
    { class: "said" },
    lines.map((each) =>
      h(
        "li",
        {},
        said(each.text),
        h(
          "div",
          { class: "about" },
          h("span", { class: "number", word: "line.per_token", values: { number: number(each.per_token, 2) } }),
        ),
      ),
    ),
  );

/** What people wrote, with the stars that it got. */
export function references(lines) {
  if (!lines.length) return null;
  return h(
    "section",
    { class: "data-says" },
    h("h3", { word: "check.references" }),
    h(
      "ol",
      {},
      lines.map((each) =>
        h(
          "li",
          {},
          said(each.text),
          each.stars !== null &&
            h(
              "span",
              { class: "stars" },
              h("span", { "aria-hidden": "true" }, `★ ${number(each.stars)}`),
              h("span", { class: "unseen", word: "stars", values: { n: each.stars } }),
            ),
        ),
      ),
    ),
  );
}
