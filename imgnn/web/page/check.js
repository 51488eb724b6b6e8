// Generate: pictures that the model knows, what it says of them, and what people said.

import { ask } from "./api.js";
import { announce, choice, h, kept, setWord } from "./elements.js";
import { boke, references } from "./sentences.js";

const AT_ONCE = 2; // pictures that one Generate or More brings, as the seed's page had it

const smooth = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth");

const ghost = () =>
  h(
    "div",
    { class: "seen", "aria-hidden": "true" },
    h("div", { class: "frame" }, h("div", { class: "ghost", css: { height: "100%" } })),
    h(
      "div",
      {},
      [1, 2, 3].map(() => h("div", { class: "ghost text" })),
    ),
  );

function card(item, place, total) {
  const told = [boke(item.boke, item.id)];
  if (item.note) told.push(h("p", { class: "note" }, item.note));
  return h(
    "article",
    { class: "seen", tabindex: "-1", labelWord: "check.picture", values: { place, total } },
    h(
      "div",
      { class: "picture" },
      h(
        "div",
        { class: "frame", css: { "--w": item.width, "--h": item.height } },
        h("img", { src: item.image, altWord: "check.alt", values: { place }, width: item.width, height: item.height }),
      ),
    ),
    h("div", {}, told, references(item.references)),
  );
}

export function check(state) {
  const splits = ["val", "train"].filter((split) => state.models.some((each) => each.pictures[split] > 0));
  if (!state.modes.length || !splits.length) return h("p", { class: "note", word: "check.no_pictures" });

  const split = choice(
    "split",
    "split",
    splits.map((each) => [each, `split.${each}`]),
    splits[0],
  );
  const mode = choice(
    "mode",
    "mode",
    state.modes.map((each) => [each, `mode.${each}`]),
    state.modes[0],
    explain,
  );
  const explanation = h("p", { class: "note below" });
  const generate = h("button", { class: "main", word: "check.generate" });
  const problem = h("p", { class: "wrong", role: "alert", hidden: true });
  const results = h("div", { id: "results" });
  const more = h(
    "button",
    { type: "button", class: "main", on: { click: () => next(true) } },
    h("span", { word: "check.more" }),
    " ",
    h("kbd", { "aria-hidden": "true" }, "N"),
  );
  const key = h("input", { type: "checkbox", checked: kept.read().key !== false });
  key.addEventListener("change", () => kept.write({ key: key.checked }));
  const end = h("p", { class: "note", word: "check.end", hidden: true });
  const lost = h("p", { class: "note", hidden: true });
  const below = h(
    "div",
    { class: "more", hidden: true },
    more,
    end,
    lost,
    h("label", { class: "tick hotkey small" }, key, h("span", { word: "check.key" })),
  );

  let asked = null; // the last request, which More continues
  let place = 0;
  let busy = false;
  let seed = 0;

  function explain(chosen) {
    setWord(explanation, `mode.${chosen}.long`);
  }
  explain(state.modes[0]);

  async function next(focus) {
    if (busy || asked?.offset == null) return;
    busy = true;
    generate.setAttribute("aria-disabled", "true");
    more.setAttribute("aria-disabled", "true");
    problem.hidden = true;
    const waiting = ghost();
    results.append(waiting);
    try {
      const answer = await ask("/api/generate", { json: asked });
      const cards = answer.items.map((each, k) => card(each, place + k + 1, answer.total));
      results.append(...cards);
      place += cards.length;
      asked = { ...asked, offset: answer.more };
      below.hidden = false;
      more.hidden = answer.more === null;
      end.hidden = answer.more !== null;
      lost.hidden = !answer.gone;
      setWord(lost, "check.lost", { n: answer.gone });
      announce("check.came", { n: cards.length });
      if (focus && cards.length) {
        cards[0].focus({ preventScroll: true });
        cards[0].scrollIntoView({ block: "start", behavior: smooth() });
      }
    } catch (error) {
      problem.hidden = false;
      problem.textContent = error.message;
    } finally {
      waiting.remove();
      busy = false;
      generate.removeAttribute("aria-disabled");
      more.removeAttribute("aria-disabled");
    }
  }

  const form = h(
    "form",
    {
      class: "ask",
      on: {
        submit: (event) => {
          event.preventDefault();
          if (busy) return;
          results.replaceChildren();
          below.hidden = true;
          place = 0;
          asked = { split: split.value(), mode: mode.value(), offset: 0, count: AT_ONCE, seed };
          seed += 1; // again: the same pictures, other sentences
          next(false);
        },
      },
    },
    split.element,
    state.modes.length > 1 && mode.element,
    generate,
  );

  const view = h("div", {}, form, explanation, results, problem, below);
  view.pressed = (event) => {
    const writing = event.target.closest(
      "input:not([type=radio], [type=checkbox], [type=range]), select, textarea, [contenteditable]",
    );
    if (event.key.toLowerCase() !== "n" || event.ctrlKey || event.metaKey || event.altKey || writing || !key.checked)
      return;
    next(true);
  };
  return view;
}
