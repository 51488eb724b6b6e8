// The studio: pictures painted like others, or dreamt on; each is watched while it is made, and kept in a gallery.

import { ask, formOf } from "./api.js";
import {
  announce,
  choice,
  command,
  dropPlace,
  h,
  icon,
  progress,
  say,
  select,
  setWord,
  slider,
  svg,
} from "./elements.js";

const POLL = 1000; // ms between two looks at jobs that wait or run

const unfinished = (job) => job.state === "waiting" || job.state === "running";

/** A duration as the words and values of an element. */
function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return { word: "seconds", values: { n: whole } };
  return { word: "minutes", values: { m: Math.floor(whole / 60), s: String(whole % 60).padStart(2, "0") } };
}

const kindOf = (job) => ({ kind: () => say(`kind.${job.kind}`) });

/** The loss over the steps that were seen, as a line without scales: whether it still falls. */
function spark(points) {
  if (points.length < 3) return null;
  const xs = points.map(([step]) => step);
  const height = points.every(([, loss]) => loss > 0) ? Math.log : (loss) => loss; // it falls by powers of ten
  const ys = points.map(([, loss]) => height(loss));
  const [left, right, low, high] = [xs[0], xs.at(-1), Math.min(...ys), Math.max(...ys)];
  const place = ([step, loss]) =>
    `${((100 * (step - left)) / (right - left || 1)).toFixed(2)} ${(38 - (36 * (height(loss) - low)) / (high - low || 1)).toFixed(2)}`;
  return svg(
    "svg",
    { class: "spark", viewBox: "0 0 100 40", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { d: `M${points.map(place).join("L")}` }),
  );
}

/** The settings and the command of a job, for those who want to know. */
function details(job) {
  const rows = Object.entries(job.settings).flatMap(([name, value]) => [
    h("dt", {}, name.replaceAll("_", " ")),
    h("dd", {}, String(value)),
  ]);
  return h(
    "details",
    {},
    h("summary", { word: "studio.details" }),
    h("div", { class: "stack" }, h("dl", { class: "facts" }, rows), command(job.command)),
  );
}

function download(job) {
  return h(
    "a",
    { class: "button", href: job.picture, download: `${job.kind}-${job.id.slice(0, 6)}.png` },
    icon("load"),
    h("span", { word: "studio.download" }),
  );
}

const removal = (job, drop) =>
  h("button", { type: "button", class: "quiet", word: "studio.remove", on: { click: () => drop(job.id) } });

/** A job that is looked at: its picture so far, how far it is, and what may be done. Updated in place. */
function easel(first, drop) {
  const frame = h("div", { class: "frame" }, h("div", { class: "ghost", css: { height: "100%" } }));
  const title = h("h3", { tabindex: "-1" });
  const work = progress("studio.waiting");
  const line = h("div", {});
  const facts = h("dl", { class: "facts" });
  const problem = h("p", { class: "wrong", hidden: true });
  const actions = h("div", { class: "row" });
  const below = h("div", {});
  const points = [];
  let state = null;
  let wanted = null;

  function see(address) {
    if (!address || address === wanted) return;
    wanted = address;
    const image = h("img", { altWord: "studio.picture", values: kindOf(first) });
    image.addEventListener("load", () => {
      if (wanted !== address) return;
      frame.style.setProperty("--w", image.naturalWidth);
      frame.style.setProperty("--h", image.naturalHeight);
      frame.replaceChildren(image); // only now: no flicker
    });
    image.addEventListener("error", () => {
      if (wanted === address) wanted = null; // it was replaced at that moment; the next look finds the next one
    });
    image.src = address;
  }

  function update(job) {
    see(job.picture);
    setWord(title, `studio.state.${job.state}`, kindOf(job));
    if (job.state === "waiting") work.show(null, "studio.waiting", { place: job.place ?? 1 });
    if (job.state === "running") {
      if (job.steps) work.show(Math.min(1, job.step / job.steps), "studio.step", { step: job.step, steps: job.steps });
      else work.show(null, job.step ? "studio.only_step" : "studio.starting", { step: job.step });
    }
    work.element.hidden = !unfinished(job);
    if (job.loss !== null && job.step !== points.at(-1)?.[0]) points.push([job.step, job.loss]);
    line.replaceChildren(...[spark(points)].filter(Boolean));
    const rows = [];
    if (job.loss !== null)
      rows.push(h("dt", { word: `studio.loss.${job.kind}` }), h("dd", {}, Number(job.loss).toPrecision(4)));
    if (job.seconds > 0) rows.push(h("dt", { word: "studio.time" }), h("dd", duration(job.seconds)));
    facts.replaceChildren(...rows);
    problem.hidden = !job.error;
    problem.textContent = job.error ?? "";
    if (job.state !== state) {
      const cancel = h("button", { type: "button", word: "studio.cancel", on: { click: () => drop(job.id) } });
      const hadFocus = actions.contains(document.activeElement);
      actions.replaceChildren(
        ...(unfinished(job) ? [cancel] : [job.picture && download(job), removal(job, drop)].filter(Boolean)),
      );
      below.replaceChildren(details(job));
      if (hadFocus) title.focus();
      if (state !== null) announce(`studio.now.${job.state}`);
      state = job.state;
    }
  }

  return {
    element: h(
      "article",
      { class: "job" },
      frame,
      h("div", { class: "stack" }, title, work.element, line, facts, problem, actions, below),
    ),
    update,
  };
}

function hung(job, drop) {
  const picture = job.picture
    ? h(
        "a",
        { class: "picture", href: job.picture, target: "_blank" },
        h("img", { src: job.picture, altWord: "studio.picture", values: kindOf(job), loading: "lazy" }),
      )
    : h("p", { class: "empty", word: "studio.nothing" });
  return h(
    "li",
    {},
    picture,
    h(
      "div",
      { class: "row" },
      h("h3", { word: `studio.state.${job.state}`, values: kindOf(job) }),
      h("span", { class: "small", ...duration(job.seconds) }),
    ),
    job.error && h("p", { class: "wrong" }, job.error),
    details(job),
    h("div", { class: "row" }, job.picture && download(job), removal(job, drop)),
  );
}

function easels(state, begun) {
  const limits = state.limits;
  const kinds = ["style", "dream"].filter((each) => state.networks[each]?.length);
  if (!kinds.length) {
    return h(
      "div",
      { class: "empty stack" },
      h("p", { word: "studio.closed" }),
      command("imgnn convert squeezenet_v1.1.caffemodel"),
    );
  }
  const of = {};
  const kind = choice(
    "kind",
    "studio.kind",
    kinds.map((each) => [each, `kind.${each}.do`]),
    kinds[0],
    show,
  );
  const content = dropPlace("studio.content", { limits });
  const styles = dropPlace("studio.styles", { limits, most: limits.styles, low: true });
  const size = slider("size", {
    name: "size",
    min: 128,
    max: limits.side,
    step: 32,
    value: Math.min(384, limits.side),
    hintWord: "size.hint",
  });
  const strength = choice(
    "strength",
    "strength",
    [
      [30, "strength.30"],
      [100, "strength.100"],
      [400, "strength.400"],
    ],
    100,
  );
  const strokes = choice(
    "strokes",
    "strokes",
    [
      [0.5, "strokes.fine"],
      [1, "strokes.as"],
      [1.5, "strokes.broad"],
    ],
    1,
  );
  const colours = select(
    "colours",
    ["style", "original", "match"].map((each) => [each, `colours.${each}`]),
    "style",
    "colours",
  );
  const start = select(
    "init",
    ["content", "random", "style"].map((each) => [each, `init.${each}`]),
    "content",
    "init",
  );
  const octaves = slider("octaves", { name: "octaves", min: 1, max: 8, step: 1, value: 4, hintWord: "octaves.hint" });
  const layersInput = h("input", {
    id: "layers",
    type: "text",
    name: "layers",
    maxlength: 200,
    autocomplete: "off",
    spellcheck: "false",
  });
  const layers = h(
    "div",
    { class: "field" },
    h("label", { for: "layers", word: "layers" }),
    layersInput,
    h("p", { class: "hint", word: "layers.hint" }),
  );
  for (const each of kinds) {
    const quick = each === "style" ? 20 : 5;
    const long = each === "style" ? 150 : 25;
    of[each] = {
      patience: choice(
        `patience-${each}`,
        "patience",
        [
          [quick, "patience.quick"],
          ["", "patience.usual"],
          [long, "patience.long"],
        ],
        "",
      ),
      network: select(
        "network",
        state.networks[each].map((name) => [name, null]),
        state.networks[each][0],
        "network",
      ),
    };
  }
  const seed = slider("seed", { name: "seed", min: 0, max: 20, step: 1, value: 0, hintWord: "seed.hint" });
  const problem = h("p", { class: "wrong", role: "alert", hidden: true });
  const go = h("button", { class: "main", word: "studio.start" });
  const only = {
    style: [styles.element, strength.element, strokes.element, colours.element, start.element],
    dream: [octaves.element, layers],
  };

  function show(chosen) {
    for (const each of kinds) {
      for (const element of [...only[each], of[each].patience.element, of[each].network.element])
        element.hidden = each !== chosen;
    }
  }
  show(kinds[0]);

  async function begin(event) {
    event.preventDefault();
    if (go.getAttribute("aria-disabled")) return;
    const chosen = kind.value();
    const [picture] = content.files();
    if (!picture) {
      content.complain("studio.content.first");
      content.focus();
      return;
    }
    if (chosen === "style" && !styles.files().length) {
      styles.complain("studio.styles.first");
      styles.focus();
      return;
    }
    const shared = {
      kind: chosen,
      content: picture,
      size: size.value(),
      seed: seed.value(),
      network: of[chosen].network.value(),
      iterations: of[chosen].patience.value() || null,
    };
    const own =
      chosen === "style"
        ? {
            styles: styles.files(),
            style_weight: strength.value(),
            style_scale: strokes.value(),
            colours: colours.value(),
            init: start.value(),
          }
        : { octaves: octaves.value(), layers: layersInput.value.trim() };
    go.setAttribute("aria-disabled", "true");
    problem.hidden = true;
    try {
      begun(await ask("/api/studio", { form: formOf({ ...shared, ...own }) }));
    } catch (error) {
      problem.hidden = false;
      problem.textContent = error.status === 503 ? say("studio.full") : error.message;
    } finally {
      go.removeAttribute("aria-disabled");
    }
  }

  const more = h(
    "details",
    {},
    h("summary", { word: "studio.more" }),
    h(
      "div",
      { class: "stack" },
      colours.element,
      start.element,
      layers,
      kinds.map((each) => of[each].network.element),
      seed.element,
    ),
  );
  const form = h(
    "form",
    { class: "bench", on: { submit: begin } },
    h("div", { class: "stack" }, content.element, styles.element),
    h(
      "div",
      { class: "stack" },
      kinds.length > 1 && kind.element,
      strength.element,
      strokes.element,
      octaves.element,
      size.element,
      kinds.map((each) => of[each].patience.element),
      more,
      h("div", {}, go),
      problem,
    ),
  );
  form.take = (files) => (content.files().length && kind.value() === "style" ? styles : content).take(files);
  return form;
}

export function studio(state) {
  const shown = new Map(); // id -> easel, of jobs that wait, run, or ended while the page looked on
  const hanging = new Map(); // id -> element of the gallery
  const watched = h("div", {});
  const now = h("section", { class: "part", hidden: true }, h("h2", { word: "studio.now" }), watched);
  const wall = h("ul", { class: "gallery" });
  const gallery = h(
    "section",
    { class: "part" },
    h("h2", { word: "studio.gallery" }),
    wall,
    h("p", { class: "empty", word: "studio.empty" }),
  );
  const problem = h("p", { class: "wrong", role: "alert", hidden: true });
  let timer = null;
  let asked = 0; // looks that were begun; only the last one counts

  async function drop(id) {
    problem.hidden = true;
    try {
      await ask(`/api/studio/${id}`, { method: "DELETE" });
    } catch (error) {
      if (error.status !== 404) {
        problem.hidden = false;
        problem.textContent = error.message;
      }
    }
    await look();
  }

  function show(jobs) {
    const ids = new Set(jobs.map((each) => each.id));
    for (const map of [shown, hanging]) {
      for (const [id, each] of map) {
        if (ids.has(id)) continue;
        const element = each.element ?? each;
        if (element.contains(document.activeElement)) document.querySelector("h1").focus();
        element.remove();
        map.delete(id);
      }
    }
    for (const job of jobs.toReversed()) {
      if (unfinished(job) && !shown.has(job.id)) {
        shown.set(job.id, easel(job, drop));
        watched.prepend(shown.get(job.id).element);
      }
      if (shown.has(job.id)) {
        shown.get(job.id).update(job);
      } else if (!hanging.has(job.id)) {
        hanging.set(job.id, hung(job, drop));
        wall.prepend(hanging.get(job.id));
      }
    }
    now.hidden = !shown.size;
    wall.hidden = !hanging.size;
    gallery.lastChild.hidden = hanging.size > 0;
  }

  async function look() {
    clearTimeout(timer);
    asked += 1;
    const mine = asked;
    let again = true; // also when the server is gone: it may come back
    try {
      const { jobs } = await ask("/api/studio");
      if (mine !== asked) return;
      show(jobs);
      again = jobs.some(unfinished);
    } catch (error) {
      if (error.status) again = error.status === 429 || error.status === 503;
    }
    if (mine === asked && again) timer = setTimeout(look, POLL);
  }

  const form = easels(state, (job) => {
    announce("studio.begun");
    look().then(() => {
      shown.get(job.id)?.element.querySelector("h3").focus({ preventScroll: true });
      now.scrollIntoView({ block: "start" });
    });
  });
  const view = h("div", {}, form, problem, now, gallery);
  view.take = (files) => form.take?.(files);
  view.enter = look;
  view.leave = () => {
    clearTimeout(timer);
    asked += 1;
  };
  return view;
}
