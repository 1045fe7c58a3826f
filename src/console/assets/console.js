// What makes the console's pages live. Everything else works without it.
"use strict";

const main = () => document.getElementById("main");

// --- Times: how long ago, beside the exact one in the title.

const AGO = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "short" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

function ago(then, now) {
  const seconds = (then - now) / 1000;
  if (Math.abs(seconds) < 1) return "now";
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length);
  return AGO.format(Math.trunc(seconds / length), unit);
}

function tellTimes(root = document) {
  const now = Date.now();
  for (const time of root.querySelectorAll("time[datetime]")) {
    const text = ago(Date.parse(time.dateTime), now);
    if (time.textContent !== text) time.textContent = text;
  }
}

// --- The pace of a run since it began, without its pauses, and how long it will take at that.

const COUNT = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

function length(exact) {
  const seconds = Math.ceil(exact);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function tellPaces(root = document) {
  for (const place of root.querySelectorAll("[data-pace]")) {
    const { pace, since, percent } = place.dataset;
    const seconds = (Date.now() - since) / 1000;
    if (seconds < 1) continue;
    const left = percent > 0 ? `, about ${length((seconds * (100 - percent)) / percent)} left` : "";
    place.textContent = `, ${COUNT.format(pace / seconds)} documents/s${left}`;
  }
}

setInterval(() => {
  tellTimes();
  tellPaces();
}, 1000);

// --- The page as the server renders it now, put into the one that is shown. What somebody is writing into, has opened or has chosen stays.

// What somebody writes about may be gone meanwhile: that is no reason to take away what they have written.
const holdsWriting = (node) => node.matches?.("form[data-dirty]") || node.querySelector?.("form[data-dirty]");
const isWritten = (form) => form.contains(document.activeElement) || "dirty" in form.dataset;

function morph(from, to) {
  if (from.isEqualNode(to)) return;
  if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName || from.id !== to.id) {
    if (!holdsWriting(from)) from.replaceWith(to);
    return;
  }
  if (from.nodeType === Node.TEXT_NODE) {
    from.data = to.data;
    return;
  }
  if (from.nodeName === "FORM" && isWritten(from)) return;
  if (from.nodeName === "TIME" && from.dateTime === to.dateTime) return;
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !(from.nodeName === "DETAILS" && name === "open")) from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  morphChildren(from, to);
}

function morphChildren(from, to) {
  const keyed = new Map([...from.children].filter((child) => child.dataset.key).map((child) => [child.dataset.key, child]));
  let at = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const known = wanted.dataset?.key && keyed.get(wanted.dataset.key);
    if (known) {
      if (known !== at) from.insertBefore(known, at);
      at = known.nextSibling;
      morph(known, wanted);
    } else if (at && !at.dataset?.key) {
      const next = at.nextSibling;
      morph(at, wanted);
      at = next;
    } else {
      from.insertBefore(wanted, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    if (!holdsWriting(at)) at.remove();
    at = next;
  }
}

document.addEventListener("input", ({ target }) => {
  if (target.form) target.form.dataset.dirty = "";
});
document.addEventListener("reset", ({ target }) => delete target.dataset.dirty);

function show(html) {
  const shown = main();
  const template = document.createElement("template");
  template.innerHTML = html;
  const wanted = template.content.querySelector("main");
  tellTimes(template.content);
  tellPaces(template.content);
  if (wanted) morph(shown, wanted);
}

// --- The stream of it. A server that says nothing for this long is lost, whatever the browser thinks.

const SILENT_MS = 8000;
let stream;
let heard = 0;

function isLost(lost) {
  document.getElementById("connection").hidden = !lost;
}

function listen() {
  if (!main()?.hasAttribute("data-live") || document.hidden || stream) return;
  heard = Date.now();
  stream = new EventSource("/console/live?at=" + encodeURIComponent(location.pathname + location.search));
  const hear = (act) => (event) => {
    heard = Date.now();
    isLost(false);
    act?.(event.data);
  };
  stream.addEventListener("page", hear(show));
  stream.addEventListener("same", hear());
  stream.addEventListener("beat", () => (heard = Date.now()));
  stream.addEventListener("trouble", () => {
    heard = Date.now();
    isLost(true);
  });
  // Signed out, or the thing is gone: the page itself says which.
  stream.addEventListener("gone", () => {
    stopListening();
    location.reload();
  });
  stream.addEventListener("error", () => {
    isLost(true);
    if (stream?.readyState === EventSource.CLOSED) leaveIfSignedOut();
  });
}

// Whoever is signed out is sent to the sign-in, which the page itself can't show.
async function leaveIfSignedOut() {
  const answer = await fetch(location.href, { headers: { "x-console-part": "middle" }, redirect: "manual" }).catch(() => undefined);
  if (answer?.type === "opaqueredirect") location.reload();
}

function stopListening() {
  stream?.close();
  stream = undefined;
}

// A browser gives one server a handful of connections, all its tabs together: who is not looked at needs none.
document.addEventListener("visibilitychange", () => (document.hidden ? stopListening() : listen()));
addEventListener("pagehide", stopListening);
// A browser that goes back shows the page as it was left, which may be before its reader has signed out.
addEventListener("pageshow", ({ persisted }) => {
  listen();
  if (persisted) leaveIfSignedOut();
});

setInterval(() => {
  if (!stream || Date.now() - heard < SILENT_MS) return;
  isLost(true);
  stopListening();
  listen();
}, 2000);

// --- A form that changes something is sent once, however often its button is pressed.

const ONCE_MS = 2000;

document.addEventListener("submit", (event) => {
  const form = event.target;
  const method = event.submitter?.getAttribute("formmethod") ?? form.method;
  if (method !== "post") return;
  if ("sent" in form.dataset) return event.preventDefault();
  form.dataset.sent = "";
  setTimeout(() => delete form.dataset.sent, ONCE_MS);
});

// --- Small conveniences.

document.addEventListener("click", async ({ target }) => {
  const copy = target.closest("[data-copy]");
  if (copy) {
    await navigator.clipboard?.writeText(copy.dataset.copy);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  }
  const all = target.closest("[data-check-all]");
  if (all) for (const box of all.form.querySelectorAll(`input[name="${all.dataset.checkAll}"]`)) box.checked = all.checked;
});

document.getElementById("theme")?.addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("tidewell-theme", root.dataset.theme);
});

// `/` goes to the first field to search in; Escape closes what was opened.
document.addEventListener("keydown", (event) => {
  const writing = event.target.closest("input, textarea, select");
  if (event.key === "/" && !writing && !event.ctrlKey && !event.metaKey) {
    const field = document.querySelector("input[type=search]");
    if (field) {
      event.preventDefault();
      field.focus();
    }
  }
  if (event.key === "Escape") {
    const opened = event.target.closest("details[open]");
    opened?.removeAttribute("open");
    opened?.querySelector("summary").focus();
  }
});

// --- Search as one types: the form is asked as it stands, and what it finds takes the place of what was found before.

const TYPING_MS = 300;
let typing;
let asked;

async function find(form) {
  clearTimeout(typing);
  asked?.abort();
  asked = new AbortController();
  const path = form.getAttribute("action") + "?" + new URLSearchParams(new FormData(form));
  try {
    const response = await fetch(path, { headers: { "x-console-part": "middle" }, signal: asked.signal });
    const template = document.createElement("template");
    template.innerHTML = await response.text();
    const wanted = template.content.querySelector("#results");
    if (!wanted) return location.assign(path);
    morph(document.getElementById("results"), wanted);
    history.replaceState(null, "", path);
    isLost(false);
  } catch (error) {
    if (error.name !== "AbortError") isLost(true);
  }
}

document.addEventListener("input", ({ target }) => {
  const form = target.closest("form[data-find]");
  if (!form || target.hasAttribute("data-anew")) return;
  clearTimeout(typing);
  typing = setTimeout(find, target.type === "search" ? TYPING_MS : 4 * TYPING_MS, form);
});
document.addEventListener("change", ({ target }) => {
  const form = target.closest("form[data-find]");
  if (!form || !target.hasAttribute("data-anew")) return;
  const kept = new URLSearchParams({ [target.name]: target.value, q: form.elements.q.value });
  location.assign(form.getAttribute("action") + "?" + kept);
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-find]")) return;
  event.preventDefault();
  find(event.target);
});

tellTimes();
tellPaces();
listen();
