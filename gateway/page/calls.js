// The built-in page: calls to the gateway, and what every other file of the page builds with.
//
// What jobs, workers and files say is put into the page as text, never as markup.
"use strict";

const find = (id) => document.getElementById(id);

class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `the gateway answered ${status}`);
    this.status = status; // 0 where there was no answer
    this.body = body;
  }
}

const SILENT = { detail: "the gateway does not answer", remedy: "Is it running? The page goes on by itself when it is back." };

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Problem(0, SILENT);
  }
  if (!response.ok) throw new Problem(response.status, await response.json().catch(() => ({})));
  return response;
}

async function call(method, path, body, headers = {}) {
  const options = { method, headers: { ...headers } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = body;
  }
  const response = await ask(path, options);
  return response.json().catch(() => ({}));
}

// Calls and takes each event of the answer as it comes; the last one has to be `done` or `failed`.
async function follow(method, path, take) {
  const response = await ask(path, { method, headers: { Accept: "text/event-stream" } });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let ended = false;
  for (;;) {
    const { done, value } = await reader.read().catch(() => ({ done: true }));
    if (done) break;
    const frames = (text + value).split("\n\n");
    text = frames.pop();
    for (const frame of frames) {
      const field = (name) => frame.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const [name, data] = [field("event"), field("data")];
      if (!name || data === undefined) continue;
      ended ||= name === "done" || name === "failed";
      take(name, JSON.parse(data));
    }
  }
  if (!ended) throw new Problem(0, { detail: "the gateway stopped telling how it goes on", remedy: "Ask again when it is back." });
}

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function announce(text) { find("news").textContent = text; }

function showProblem(box, error) {
  box.replaceChildren();
  box.classList.toggle("silence", Boolean(error) && error.body === SILENT);
  if (error) {
    const body = error.body || {};
    box.append(element("p", error.message));
    const faults = body.faults || [];
    if (faults.length > 1) {
      const list = element("ul");
      for (const fault of faults) list.append(element("li", `${fault.pointer} ${fault.message}`.trim()));
      box.append(list);
    }
    if (body.remedy) box.append(element("p", body.remedy));
    if (body.code) box.append(codeLink(element("a"), body.code));
  }
  box.hidden = !error;
}

function codeLink(link, code) {
  link.textContent = `What ${code} means`;
  link.href = `/docs/codes/${encodeURIComponent(code)}`;
  link.target = "_blank";
  link.rel = "noopener";
  return link;
}

function duration(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return "?";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

function clock(time) { return time ? new Date(time).toLocaleTimeString() : ""; }

function gibibytes(bytes) { return (Number(bytes || 0) / 2 ** 30).toFixed(1); }

function plural(count, one, many) { return count === 1 ? `1 ${one}` : `${count || 0} ${many}`; }
