// The server's answers: as values, or as an error whose message can be shown.

import { say } from "./elements.js";

/** The server said no, or nothing. `status` 0: it is not there. */
export class Refused extends Error {
  constructor(message, status, wait = null) {
    super(message);
    Object.assign(this, { status, wait });
  }
}

/** Hears of `gone` and `back` (the server), and `locked` (a token is needed). */
export const line = new EventTarget();
let there = true;

function heard(now) {
  if (there !== now) line.dispatchEvent(new Event(now ? "back" : "gone"));
  there = now;
}

function reason(status, answer) {
  if (status === 429 || (status === 503 && answer?.detail !== "loading")) return say("error.busy");
  if (status === 503) return say("error.loading");
  if (status === 413) return say("error.large");
  return answer?.detail ?? say("error.other", { status: String(status) });
}

/** Ask the server. `json` or `form` make it a POST; the answer is what its JSON says, null if it is empty. */
export async function ask(path, { json, form, method, signal } = {}) {
  const body = json ? JSON.stringify(json) : form;
  const headers = json ? { "Content-Type": "application/json" } : {};
  let answer;
  try {
    answer = await fetch(path, { method: method ?? (body ? "POST" : "GET"), body, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    heard(false);
    throw new Refused(say("error.gone"), 0);
  }
  heard(true);
  let told = null;
  try {
    if (answer.status !== 204) told = await answer.json();
  } catch {
    if (answer.ok) throw new Refused(say("error.other", { status: String(answer.status) }), answer.status);
  }
  if (answer.status === 401) line.dispatchEvent(new Event("locked"));
  if (!answer.ok) {
    const wait = Number(answer.headers.get("Retry-After")) || null;
    throw new Refused(reason(answer.status, told), answer.status, wait);
  }
  return told;
}

/** A form of settings and files; what is null or undefined is left out. */
export function formOf(values) {
  const form = new FormData();
  for (const [name, value] of Object.entries(values)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined) form.append(name, each);
    }
  }
  return form;
}
