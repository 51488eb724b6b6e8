// The playground: a picture of your own, and what is said of it.

import { ask, formOf } from "./api.js";
import { announce, choice, dropPlace, h, icon, progress, slider } from "./elements.js";
import { boke, captions } from "./sentences.js";

export function playground(state) {
  const place = dropPlace("playground.drop", { limits: state.limits, changed: () => (again.hidden = true) });
  const mode = choice(
    "play-mode",
    "mode",
    state.modes.map((each) => [each, `mode.${each}`]),
    state.modes[0],
  );
  const temperature = slider("temperature", {
    name: "temperature",
    min: 0.1,
    max: 1.5,
    step: 0.05,
    value: 0.8,
    digits: 2,
    hintWord: "temperature.hint",
  });
  const beam = slider("beam", { name: "beam", min: 1, max: 20, step: 1, value: 5, hintWord: "beam.hint" });
  const many = slider("many", {
    name: "n",
    min: 1,
    max: state.limits.lines,
    step: 1,
    value: Math.min(5, state.limits.lines),
  });
  const go = h("button", { class: "main", word: "playground.go" });
  const again = h(
    "button",
    { type: "button", hidden: true, on: { click: () => make(seed + 1) } },
    icon("again"),
    h("span", { word: "playground.again" }),
  );
  const work = progress("playground.working");
  const problem = h("p", { class: "wrong", role: "alert", hidden: true });
  const results = h("div", {});
  let seed = 0;
  let busy = false;

  async function make(wanted) {
    const [picture] = place.files();
    if (busy) return;
    if (!picture) {
      place.complain("playground.first");
      place.focus();
      return;
    }
    busy = true;
    seed = wanted;
    problem.hidden = true;
    work.element.hidden = false;
    go.setAttribute("aria-disabled", "true");
    again.setAttribute("aria-disabled", "true");
    const settings = { n: many.value(), temperature: temperature.value(), beam: beam.value(), seed };
    try {
      const chosen = state.modes.length ? mode.value() : null;
      const answer = await ask("/api/playground", { form: formOf({ picture, mode: chosen, ...settings }) });
      results.prepend(card(picture, answer, chosen, settings));
      again.hidden = false;
      announce("playground.came", { n: answer.boke.length + answer.captions.length });
      results.scrollIntoView({ block: "nearest" });
    } catch (error) {
      problem.hidden = false;
      problem.textContent = error.message;
    } finally {
      busy = false;
      work.element.hidden = true;
      go.removeAttribute("aria-disabled");
      again.removeAttribute("aria-disabled");
    }
  }

  function card(picture, answer, chosen, settings) {
    const address = URL.createObjectURL(picture);
    const image = h("img", { src: address, alt: picture.name });
    const frame = h("div", { class: "frame" }, image);
    image.addEventListener("load", () => {
      frame.style.setProperty("--w", image.naturalWidth);
      frame.style.setProperty("--h", image.naturalHeight);
    });
    const remove = h("button", { type: "button", class: "quiet", word: "playground.remove" });
    const element = h(
      "article",
      { class: "seen", labelWord: "playground.result", values: { name: picture.name } },
      h("div", { class: "picture" }, frame),
      h(
        "div",
        { class: "stack" },
        answer.boke.length > 0 && [h("h2", { class: "small", word: "playground.boke" }), boke(answer.boke, null)],
        answer.captions.length > 0 &&
          h(
            "section",
            { class: answer.boke.length ? "plain" : "" },
            h("h2", { class: "small", word: "playground.captions" }),
            captions(answer.captions),
          ),
        answer.note && h("p", { class: "note" }, answer.note),
        h(
          "p",
          { class: "small row" },
          chosen && h("span", { word: `mode.${chosen}` }),
          h("span", {
            word: "playground.settings",
            values: { temperature: settings.temperature.toFixed(2), beam: settings.beam, seed: settings.seed },
          }),
          remove,
        ),
      ),
    );
    remove.addEventListener("click", () => {
      element.remove();
      URL.revokeObjectURL(address);
      place.focus();
    });
    return element;
  }

  work.element.hidden = true;
  const form = h(
    "form",
    {
      class: "bench",
      on: {
        submit: (event) => {
          event.preventDefault();
          make(0);
        },
      },
    },
    place.element,
    h(
      "div",
      { class: "stack" },
      state.modes.length > 1 && mode.element,
      state.modes.includes("model") && temperature.element,
      state.captions && beam.element,
      many.element,
      h("div", { class: "row" }, go, again),
      work.element,
      problem,
    ),
  );
  const view = h("div", {}, form, h("p", { class: "note", word: "playground.private" }), results);
  view.take = place.take;
  return view;
}
