// The built-in page: what the form asks for: uploads, the request, and problems at the field that they are about.
"use strict";

const NUMBERS = ["width", "height", "steps", "batch_size", "clip_skip", "cfg", "denoise"];
const NAMES = ["checkpoint", "family", "sampler", "scheduler", "vae", "upscaler"];
const VIDEO = ["frames", "fps", "motion_bucket_id", "augmentation"];

function place(input) { return input.dataset.at || input.id; }

// Uploads a chosen file; the same file only once.
async function upload(input) {
  const chosen = input.files[0];
  if (!chosen) return undefined;
  if (input.uploaded && input.uploaded.file === chosen) return input.uploaded.reference;
  const form = new FormData();
  form.append("file", chosen);
  try {
    const response = await ask("/api/assets", { method: "POST", body: form });
    const answer = await response.json();
    input.uploaded = { file: chosen, reference: `asset:${answer.id}` };
  } catch (error) {
    if (!error.body || !error.body.status) throw error;
    throw new Problem(error.body.status, { ...error.body, faults: [{ pointer: `/form/${place(input)}`, message: error.message }] });
  }
  return input.uploaded.reference;
}

function isShown(id) { return !find(id).closest("[hidden]"); }

function given(id) {
  const text = isShown(id) ? find(id).value.trim() : "";
  return text === "" ? undefined : text;
}

// What a browser cannot read as a number looks as if nothing was given.
function refuseUnreadable() {
  const faults = [...find("form").querySelectorAll('input[type="number"]')]
    .filter((input) => !input.closest("[hidden]") && input.validity.badInput)
    .map((input) => ({ pointer: `/form/${place(input)}`, message: "is not a number" }));
  if (faults.length) throw new Problem(0, { detail: "The request has a fault.", faults });
}

function textEncoders() {
  if (find("encoders").closest("[hidden]")) return undefined;
  const names = ENCODERS.map((at) => atPlace(at).value);
  return names.some(Boolean) ? names : undefined;
}

async function request() {
  refuseUnreadable();
  const task = chosenTask();
  const seed = given("seed");
  if (task === "flux") return { flux: await readFlux(seed) };
  if (task === "v0") return { v0: await readSite() };
  if (task === "graph") return { comfyui: { task, seed, graph: find("graph").value.trim() } };
  if (task === "workflow") return { comfyui: { workflow: find("workflow").value, seed, parameters: await readParameters() } };
  const body = { prompt: isShown("prompt") ? find("prompt").value : undefined, seed };
  for (const id of NUMBERS) {
    const text = given(id);
    if (text !== undefined) body[id] = Number(text);
  }
  if (task === "sketch") return { sketch: body };
  body.task = task;
  body.negative_prompt = given("negative_prompt");
  for (const id of NAMES) body[id] = given(id);
  if (isShown("allow_fallback") && find("allow_fallback").checked) body.allow_fallback = true;
  body.text_encoders = textEncoders();
  for (const id of ["image", "mask"]) if (isShown(id)) body[id] = await upload(find(id));
  for (const id of Object.keys(ROWS)) if (isShown(id)) body[id] = await readRows(find(id));
  if (isShown("frames")) {
    body.video = { format: given("format") };
    for (const id of VIDEO) if (given(id) !== undefined) body.video[id] = Number(given(id));
  }
  return { comfyui: body };
}

// The same request that failed to arrive is sent with the same key, so that it is not done twice.
let pending = { text: "", key: "" };

function keyFor(text) {
  if (pending.text !== text) {
    const random = crypto.getRandomValues(new Uint32Array(4));
    pending = { text, key: Array.from(random, (part) => part.toString(16).padStart(8, "0")).join("") };
  }
  return pending.key;
}

async function submit(event) {
  event.preventDefault();
  const button = find("submit");
  if (button.disabled) return;
  button.disabled = true;
  markFields([]);
  try {
    const wanted = await request();
    const text = JSON.stringify(wanted);
    showProblem(find("form-problem"), null);
    if (!(await mayBeSpent(wanted))) {
      announce("Nothing was spent");
      return;
    }
    take(await call("POST", "/api/jobs", text, { "Idempotency-Key": keyFor(text) }));
    pending = { text: "", key: "" };
    announce("Submitted");
  } catch (error) {
    const faults = (error.body && error.body.faults) || [];
    const marked = markFields(faults);
    // what is said at the fields is not said twice
    const all = faults.length > 0 && marked.count === faults.length;
    const words = `To be corrected: ${[...marked.names].join(", ")}`;
    showProblem(find("form-problem"), all ? new Problem(0, { detail: words, code: error.body.code }) : error);
  } finally {
    button.disabled = false;
    if (document.activeElement === document.body) button.focus();
  }
}

// The field that a fault is about, the one whose name its pointer begins with, and what is left of the pointer.
function fieldOf(pointer) {
  const path = pointer.split("/").slice(2);
  if (path[0] === "video") path.shift();
  for (let length = path.length; length > 0; length -= 1) {
    const at = path.slice(0, length).join("/");
    const named = CSS.escape(at);
    const found = [...find("form").querySelectorAll(`[data-at="${named}"], [id="${named}"]`)]
      .find((field) => !field.closest("[data-for][hidden], .field[hidden]"));
    if (found) return { field: found, rest: path.slice(length).join("/") };
  }
  return null;
}

// Which fields were marked, in words, and how many faults that covers.
function markFields(faults) {
  const marked = { names: new Set(), count: 0 };
  const form = find("form");
  for (const old of form.querySelectorAll(".fault")) old.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-errormessage");
  }
  for (const fault of faults) {
    const found = fieldOf(fault.pointer || "");
    if (!found) continue;
    const { field, rest } = found;
    marked.count += 1;
    marked.names.add(wordsFor(field));
    const before = field.getAttribute("aria-errormessage");
    const text = faultText(field, rest, fault.message);
    if (before) {
      find(before).append(element("span", text));
      continue;
    }
    const note = element("span", "", { class: "fault", id: `fault-${place(field)}` });
    note.append(element("span", text));
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-errormessage", note.id);
    if (field.matches("li, div, fieldset")) field.append(note);
    else field.after(note);
    const folded = field.closest("details");
    if (folded) folded.open = true;
  }
  const first = form.querySelector("[aria-invalid]");
  if (first) (first.matches("input, select, textarea") ? first : first.querySelector("input, select, textarea") || find("submit")).focus();
  return marked;
}

// The gateway speaks to programs too; whoever chose nothing here needs no more than to hear so.
function faultText(field, rest, message) {
  if (field.type === "file" && !field.files.length) return "choose a file";
  if (field.matches(".pictures") && !rest && !field.querySelector("li")) return "add one";
  if (field.matches("select") && !field.value) return "choose one";
  // what is said about a graph names its node already
  return rest && field.id !== "graph" ? `${rest} ${message}` : message;
}

function wordsFor(field) {
  const row = field.closest(".row");
  const label = field.labels && field.labels[0] && field.labels[0].firstChild.textContent;
  const legend = field.querySelector(":scope > legend");
  return [row && row.getAttribute("aria-label"), label || (legend && legend.textContent)].filter(Boolean).join(": ") || field.id;
}

find("form").addEventListener("submit", submit);
for (const id of ["prompt", "negative_prompt", "graph", "system"]) {
  find(id).addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) find("form").requestSubmit();
  });
}
