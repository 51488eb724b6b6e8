// Small parts of which the views are made: elements with words in two languages, choices, sliders, places for pictures.

import { WORDS } from "./words.js";

// ---- What is kept between visits

export const kept = {
  read() {
    try {
      return JSON.parse(localStorage.getItem("imgnn")) ?? {};
    } catch {
      return {};
    }
  },
  write(change) {
    try {
      localStorage.setItem("imgnn", JSON.stringify({ ...this.read(), ...change }));
    } catch {
      // Storage is off: the choice lasts as long as the page.
    }
  },
};

// ---- Words

export const language = () => (document.documentElement.lang === "ja" ? "ja" : "en");

export function number(value, digits = 0) {
  const form = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(language(), form).format(value).replace("-", "−");
}

/** A text of words.js. Its {names} are filled in, by functions where they are words too; `n` chooses one or other. */
export function say(key, values = {}) {
  let text = WORDS[language()][key] ?? WORDS.en[key] ?? key;
  if (typeof text === "object") text = text[new Intl.PluralRules(language()).select(values.n)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = typeof values[name] === "function" ? values[name]() : values[name];
    return typeof value === "number" ? number(value) : value;
  });
}

// An element remembers which words it shows, so that another language can be chosen under it.
const told = new WeakMap();

export function setWord(element, key, values) {
  element.dataset.word = key;
  told.set(element, values);
  element.textContent = say(key, values);
}

export function retell(root) {
  for (const each of root.querySelectorAll("[data-word]")) setWord(each, each.dataset.word, told.get(each));
  for (const each of root.querySelectorAll("[data-label-word]")) {
    each.setAttribute("aria-label", say(each.dataset.labelWord, told.get(each)));
  }
  for (const each of root.querySelectorAll("[data-alt-word]")) each.alt = say(each.dataset.altWord, told.get(each));
}

/** The language a sentence is probably in: kana or ideographs make it Japanese. */
export const languageOf = (text) => (/[\p{sc=Hira}\p{sc=Kana}\p{sc=Han}]/u.test(text) ? "ja" : "en");

/** Tell who does not see the page what has changed. */
export function announce(key, values) {
  const live = document.getElementById("live");
  live.textContent = "";
  requestAnimationFrame(() => setWord(live, key, values));
}

// ---- Elements

/**
 * An element. Properties: `word` (and `values`) for its text, `labelWord` for its aria-label, `altWord` for its alt, `on`
 * for events, `css` for custom properties; what is false or null is left out.
 */
export function h(tag, { word, labelWord, altWord, values, on = {}, css = {}, ...rest } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(rest)) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(name, value === true ? "" : value);
  }
  for (const [name, value] of Object.entries(css)) element.style.setProperty(name, value);
  for (const [name, handler] of Object.entries(on)) element.addEventListener(name, handler);
  if (word) setWord(element, word, values);
  if (labelWord) {
    element.dataset.labelWord = labelWord;
    told.set(element, values);
    element.setAttribute("aria-label", say(labelWord, values));
  }
  if (altWord) {
    element.dataset.altWord = altWord;
    told.set(element, values);
    element.alt = say(altWord, values);
  }
  element.append(...children.flat().filter((each) => each !== null && each !== undefined && each !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const ICONS = {
  up: "M7 11v9H4v-9zM7 11l4-8c1.7 0 2.5 1.2 2.3 2.7L12.8 9H18a2 2 0 0 1 2 2.4l-1.3 7A2 2 0 0 1 16.7 20H7",
  down: "M7 13V4H4v9zM7 13l4 8c1.7 0 2.5-1.2 2.3-2.7L12.8 15H18a2 2 0 0 0 2-2.4l-1.3-7A2 2 0 0 0 16.7 4H7",
  again: "M19.5 12a7.5 7.5 0 1 1-2.2-5.3L20 9.5M20 4v5.5h-5.5",
  close: "M6 6l12 12M18 6 6 18",
  load: "M12 4v11M7 10.5l5 5 5-5M5 20h14",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
};

export const icon = (name) =>
  svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));

/** One of several, as radio buttons. `options`: [value, word]. */
export function choice(name, word, options, value, changed = () => {}) {
  const buttons = options.map(([each, eachWord]) => {
    const input = h("input", { type: "radio", name, value: each, checked: each === value });
    input.addEventListener("change", () => changed(each));
    return h("label", {}, input, h("span", { word: eachWord }));
  });
  const element = h("fieldset", { class: "chosen" }, h("legend", { word }), h("div", { class: "choices" }, buttons));
  return { element, value: () => element.querySelector("input:checked")?.value };
}

let numbered = 0;
const freshId = () => `e${(numbered += 1)}`;

/** A number between two ends. `digits`: after the point, as it is shown; `hintWord`: what it does. */
export function slider(word, { min, max, step, value, digits = 0, hintWord, name }) {
  const id = freshId();
  const output = h("output", { for: id });
  const input = h("input", {
    id,
    name,
    type: "range",
    min,
    max,
    step,
    value,
    "aria-describedby": hintWord && `${id}h`,
  });
  const show = () => {
    output.textContent = Number(input.value).toFixed(digits);
    input.style.setProperty("--fill", `${(100 * (input.value - min)) / (max - min)}%`);
  };
  input.addEventListener("input", show);
  show();
  const element = h(
    "div",
    { class: "field" },
    h("div", { class: "between" }, h("label", { for: id, word }), output),
    input,
    hintWord && h("p", { class: "hint", id: `${id}h`, word: hintWord }),
  );
  return { element, value: () => Number(input.value) };
}

/** One of many, by name. `options`: [value, word or null]; without a word the value is the name. */
export function select(word, options, value, name) {
  const id = freshId();
  const input = h(
    "select",
    { id, name },
    options.map(([each, eachWord]) =>
      h("option", { value: each, selected: each === value, word: eachWord }, eachWord ? "" : each),
    ),
  );
  return { element: h("div", { class: "field" }, h("label", { for: id, word }), input), value: () => input.value };
}

/** A button that copies a command, beside the command. */
export function command(text) {
  const button = h("button", { type: "button", class: "quiet icon", labelWord: "copy" }, icon("copy"));
  const code = h("code", {}, text);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      announce("copied");
    } catch {
      getSelection().selectAllChildren(code); // no clipboard without https beyond this machine: Ctrl-C does it
      announce("copy.by_hand");
    }
  });
  return h("div", { class: "tell" }, code, button);
}

/**
 * A place to drop, choose or paste pictures. `most`: how many are held; `limits`: of the server; `changed(files)`.
 * Its `take(files)` is for what the view gets by other ways.
 */
export function dropPlace(word, { most = 1, limits, low = false, changed = () => {} }) {
  let files = [];
  let addresses = [];
  const problem = h("p", { class: "wrong", role: "alert", hidden: true });
  const input = h("input", {
    type: "file",
    accept: limits.formats.join(","),
    multiple: most > 1,
    hidden: true,
    tabindex: "-1",
  });
  const camera = h("input", { type: "file", accept: "image/*", capture: "environment", hidden: true, tabindex: "-1" });
  const choose = h("button", {
    type: "button",
    word: most > 1 ? "drop.add" : "drop.choose",
    on: { click: () => input.click() },
  });
  const shoot =
    most === 1 && matchMedia("(pointer: coarse)").matches
      ? h("button", { type: "button", word: "drop.camera", on: { click: () => camera.click() } })
      : null;
  const tell = h("p", { word });
  const shown = h("ul", { class: "thumbs", hidden: true });
  const whole = h("img", { alt: "", hidden: true });
  const element = h(
    "div",
    { class: low ? "drop low" : "drop" },
    whole,
    shown,
    tell,
    h("div", { class: "row" }, choose, shoot),
    problem,
    input,
    camera,
  );

  function complain(key, values) {
    problem.hidden = false;
    setWord(problem, key, values);
  }

  function show() {
    addresses.forEach(URL.revokeObjectURL);
    addresses = files.map((each) => URL.createObjectURL(each));
    element.classList.toggle("full", most === 1 && files.length > 0);
    tell.hidden = files.length > 0;
    whole.hidden = most > 1 || !files.length;
    if (most === 1) {
      if (files.length) whole.src = addresses[0];
      setWord(choose, files.length ? "drop.other" : "drop.choose");
    } else {
      shown.hidden = !files.length;
      choose.disabled = files.length >= most;
      shown.replaceChildren(
        ...files.map((file, k) =>
          h(
            "li",
            {},
            h("img", { src: addresses[k], alt: file.name }),
            h(
              "button",
              {
                type: "button",
                labelWord: "drop.remove",
                values: { name: file.name },
                on: {
                  click: () => {
                    files.splice(k, 1);
                    show();
                    choose.focus();
                  },
                },
              },
              icon("close"),
            ),
          ),
        ),
      );
    }
    changed(files);
  }

  function take(list) {
    problem.hidden = true;
    const pictures = [...list].filter((each) => each.type.startsWith("image/"));
    if (!pictures.length) return complain("drop.no_picture");
    const large = pictures.find((each) => each.size > limits.picture_bytes);
    if (large) return complain("drop.large", { name: large.name, size: limits.picture_bytes / 2 ** 20 });
    if (most > 1 && files.length + pictures.length > most) complain("drop.many", { n: most });
    files = most === 1 ? pictures.slice(0, 1) : [...files, ...pictures].slice(0, most);
    return show();
  }

  for (const each of [input, camera]) {
    each.addEventListener("change", () => {
      if (each.files.length) take(each.files);
      each.value = ""; // the same file may be chosen again
    });
  }
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.classList.add("over");
  });
  element.addEventListener("dragleave", (event) => {
    if (!element.contains(event.relatedTarget)) element.classList.remove("over");
  });
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    element.classList.remove("over");
    take(event.dataTransfer.files);
  });
  return { element, take, complain, files: () => files, focus: () => choose.focus() };
}

/** Work that takes a while: what is done, and how far; `part` null: nobody knows how far. */
export function progress(word) {
  const tell = h("p", { class: "small", word });
  const inner = h("i");
  const bar = h(
    "div",
    { class: "bar waiting", role: "progressbar", labelWord: word, "aria-valuemin": 0, "aria-valuemax": 100 },
    inner,
  );
  return {
    element: h("div", { class: "stack" }, tell, bar),
    show(part, key, values) {
      setWord(tell, key, values);
      bar.classList.toggle("waiting", part === null);
      if (part === null) {
        bar.removeAttribute("aria-valuenow");
      } else {
        inner.style.setProperty("--done", `${100 * part}%`);
        bar.setAttribute("aria-valuenow", Math.round(100 * part));
      }
    },
  };
}
