// The frame of the page: which view is shown, the language and the colours, and what the server is up to.

import { ask, line } from "./api.js";
import { check } from "./check.js";
import { data } from "./data.js";
import { command, h, kept, language, progress, retell, say, setWord } from "./elements.js";
import { playground } from "./playground.js";
import { studio } from "./studio.js";

const VIEWS = { check, playground, studio, data };
const AGAIN = 2000; // ms until a server that loads, or is gone, is asked again

const main = document.getElementById("main");
const banner = document.getElementById("banner");
let state = null;
const opened = new Map(); // name -> its view: what was made there is still there when one comes back
let view = null; // what is shown below the heading

/** The view in the address; without one what there is most to do in: Generate needs pictures that a model knows. */
const wanted = () => {
  const named = location.hash.slice(2);
  if (Object.hasOwn(VIEWS, named)) return named;
  return state?.models[0].packaged ? "playground" : "check";
};

// ---- Views

/** What stands in a view's place when what it needs is not there. */
function instead(name) {
  if (name === "studio") return null;
  if (name !== "playground" && state.models[0].packaged) return unknown(name);
  if (name === "data") return null;
  if (state.status === "loading") return h("div", { class: "panel" }, progress("models.loading").element);
  if (state.status === "failed")
    return h(
      "div",
      { class: "panel stack" },
      h("p", { class: "wrong", word: "models.failed" }),
      h("p", {}, state.problem),
    );
  return null;
}

/** Generate or Data of a model that came with imgnn: nothing is known of its training. */
function unknown(name) {
  return h(
    "div",
    { class: "panel stack" },
    h("p", { word: `${name}.packaged` }),
    h("p", { class: "note", word: "packaged.how" }),
    command("imgnn train caption captions.jsonl -o captions_run\nimgnn serve --model captions_run"),
    h("p", { class: "note" }, h("a", { href: "#/playground", word: "packaged.playground" })),
  );
}

function show(focus) {
  const name = wanted();
  view?.leave?.();
  const heading = h("h1", { tabindex: "-1", word: `${name}.title` });
  if (state && !opened.has(name)) opened.set(name, instead(name) ?? VIEWS[name](state));
  view = opened.get(name);
  if (view) retell(view);
  main.replaceChildren(
    heading,
    h("p", { class: "lead", word: `${name}.lead` }),
    h("div", { class: "view" }, view ?? h("div", {}, progress("loading").element)),
  );
  view?.enter?.();
  for (const each of document.querySelectorAll(".views a")) {
    if (each.hash === `#/${name}`) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  title();
  if (focus) {
    scrollTo(0, 0);
    heading.focus({ preventScroll: true });
  }
}

function title() {
  document.title = `${say(`${wanted()}.short`)} · imgnn`;
}

function about() {
  const models = state.models.map((each) => `${each.name} (${each.network})`);
  document.getElementById("about").textContent = [`imgnn ${state.version}`, ...models].join(" · ");
}

// ---- The server

let asking = null;

async function look() {
  clearTimeout(asking);
  try {
    const before = state;
    state = await ask("/api/state");
    about();
    if (before?.status !== state.status) {
      for (const name of opened.keys()) if (name !== "studio") opened.delete(name);
      if (wanted() !== "studio" || !before) show(false); // a photo may be chosen in the studio
    }
  } catch {
    // A banner tells that it is gone; a dialog asks for the token.
  }
  if (!state || state.status === "loading" || !banner.hidden) asking = setTimeout(look, AGAIN);
}

line.addEventListener("gone", () => {
  banner.hidden = false;
  setWord(banner, "banner.gone");
  clearTimeout(asking);
  asking = setTimeout(look, AGAIN);
});
line.addEventListener("back", () => {
  banner.hidden = true;
  delete banner.dataset.word;
});
line.addEventListener("locked", () => {
  if (!document.querySelector("dialog[open]")) unlock();
});

/** Ask for the token that `imgnn serve` printed. */
function unlock() {
  const problem = h("p", { class: "wrong", role: "alert", hidden: true });
  const input = h("input", { id: "token", type: "password", autocomplete: "off", required: true });
  const dialog = h(
    "dialog",
    { labelWord: "token.title" },
    h(
      "form",
      {
        class: "stack",
        on: {
          submit: async (event) => {
            event.preventDefault();
            if (await enter(input.value.trim())) dialog.close();
            else {
              problem.hidden = false;
              setWord(problem, "token.wrong");
              input.select();
            }
          },
        },
      },
      h("h2", { word: "token.title" }),
      h("p", { class: "note", word: "token.how" }),
      h("div", { class: "field" }, h("label", { for: "token", word: "token" }), input),
      problem,
      h("button", { class: "main", word: "token.go" }),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

async function enter(token) {
  try {
    await ask("/api/session", { json: { token } });
  } catch {
    return false;
  }
  look();
  return true;
}

// ---- The language, the colours

const languageButton = document.getElementById("language");
const themeButton = document.getElementById("theme");

function speak() {
  const other = language() === "ja" ? "en" : "ja";
  const name = { en: "English", ja: "日本語" }[other];
  languageButton.textContent = name;
  languageButton.lang = other;
  retell(document);
  title();
}

languageButton.addEventListener("click", () => {
  document.documentElement.lang = language() === "ja" ? "en" : "ja";
  kept.write({ language: language() });
  speak();
});

themeButton.addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  kept.write({ theme: root.dataset.theme });
});

// ---- What belongs to the whole window

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the view
  main.focus();
});

addEventListener("hashchange", () => show(true));
addEventListener("keydown", (event) => view?.pressed?.(event));
addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (files.length && view?.take) {
    event.preventDefault();
    view.take(files);
  }
});
// A picture that misses its place is meant for the view; it must not take the page's.
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  if (!event.defaultPrevented) view?.take?.(event.dataTransfer.files);
  event.preventDefault();
});
addEventListener("scroll", () => document.documentElement.classList.toggle("scrolled", scrollY > 8), { passive: true });

speak();
show(false);
look();
