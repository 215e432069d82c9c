// The built-in page: the form. It offers what the fleet announces, and shows only what the task uses.
"use strict";

const LISTS = { sampler: "as usual", scheduler: "as usual", vae: "the checkpoint's own", upscaler: "none" };
const ENCODERS = ["text_encoders/0", "text_encoders/1", "text_encoders/2"];
const FAMILIES = { sd15: "SD 1.5", sdxl: "SDXL", sd35: "SD 3.5", svd: "Stable Video Diffusion" };
const SAMPLED = new Set(["text_to_image", "image_to_image", "inpaint", "image_to_video"]);

const BACKENDS = { sketch: "sketch (no AI model)", flux: "flux (costs money)", v0: "v0: small web sites (costs money)" };
const PAID = new Set(["flux", "v0"]);

let offers = new Map(); // backend -> { healthy, problem }
let missing = new Map(); // backend that nobody offers -> why not, of each worker that could
let known = new Map(); // kind -> name -> { loaded, damaged, problem, fallback }
let workflows = new Map(); // name -> workflow
let touched = false; // whether somebody has begun to fill in the form

function takeFleet(workers) {
  const before = [...offers.keys()].sort().join();
  offers = new Map();
  missing = new Map();
  known = new Map();
  for (const worker of workers) {
    for (const { backend, reason } of worker.not_offered || []) {
      missing.set(backend, (missing.get(backend) || new Set()).add(reason));
    }
    for (const offer of worker.backends || []) {
      const found = offers.get(offer.backend) || { healthy: false, problem: "" };
      found.healthy ||= Boolean(offer.healthy) && !worker.draining;
      found.problem ||= offer.problem || (worker.draining ? "its worker is stopping" : "");
      offers.set(offer.backend, found);
      for (const model of offer.models || []) takeModel(model, worker.id);
    }
  }
  for (const backend of offers.keys()) missing.delete(backend);
  // what can be done with a result depends on who is there
  if (before !== [...offers.keys()].sort().join()) for (const card of jobs.values()) card.schedule();
  showBackends();
  if (!touched && (offers.get("comfyui") || {}).healthy && namesOf("checkpoint").length) find("backend").value = "comfyui";
  fillCheckpoints();
  for (const [id, first] of Object.entries(LISTS)) {
    const required = id === "upscaler" && chosenTask() === "upscale";
    setOptions(find(id), [["", required ? "choose one" : first], ...named(id)]);
  }
  for (const place of ENCODERS) setOptions(atPlace(place), [["", "the checkpoint's own"], ...named("text_encoder")]);
  for (const select of document.querySelectorAll("#loras select, #controls select")) fillModels(select);
  for (const kind of ["checkpoint", "lora", "vae", "upscaler", "sampler", "scheduler"]) {
    find(`known-${kind}`).replaceChildren(...namesOf(kind).map((name) => element("option", "", { value: name })));
  }
  showForm();
}

function showBackends() {
  // what was chosen stays, so that nobody loses what they wrote when a worker goes
  const chosen = find("backend").value;
  const names = [...new Set([...offers.keys(), ...missing.keys(), chosen, "sketch"])].filter(Boolean).sort();
  setOptions(find("backend"), names.map((name) => {
    const lacks = missing.has(name) && !offers.has(name);
    return [name, lacks ? `${name} (not offered)` : BACKENDS[name] || name, lacks];
  }));
  const box = find("not-offered");
  box.hidden = missing.size === 0;
  setText(box.querySelector("summary"), `Not offered: ${[...missing.keys()].sort().join(", ")}`);
  showLines(box.querySelector("ul"), [...missing].flatMap(([name, reasons]) => [...reasons].map((reason) => `${name}: ${reason}`)));
}

function takeModel(model, worker) {
  const models = known.get(model.kind) || new Map();
  known.set(model.kind, models);
  const found = models.get(model.name) || { loaded: false, usable: false, problems: [], fallback: "" };
  models.set(model.name, found);
  found.loaded ||= Boolean(model.loaded);
  found.usable ||= !model.problem;
  if (model.problem) found.problems.push(`on ${worker}: ${model.problem}`);
  found.fallback ||= model.fallback || "";
}

function takeWorkflows(list) {
  workflows = new Map(list.map((one) => [one.name, one]));
  const title = (one) => (one.built_in ? `${one.title || one.name} (built in)` : one.title || one.name);
  const own = (one) => (one.built_in ? 1 : 0);
  const sorted = list.slice().sort((a, b) => own(a) - own(b) || title(a).localeCompare(title(b)));
  setOptions(find("workflow"), sorted.map((one) => [one.name, title(one)]));
  showForm();
}

function namesOf(kind) {
  return [...(known.get(kind) || new Map())].filter(([, model]) => model.usable).map(([name]) => name).sort();
}

function named(kind) { return namesOf(kind).map((name) => [name, name]); }

function atPlace(place) { return document.querySelector(`[data-at="${CSS.escape(place)}"]`); }

// Each option is a value, its text, and whether it cannot be chosen. What is chosen stays chosen, also while it is
// not there.
function setOptions(select, options) {
  const chosen = select.value;
  const all = chosen && !options.some(([value]) => value === chosen) ? [...options, [chosen, `${chosen} (not here now)`]] : options;
  const wanted = JSON.stringify(all);
  if (select.dataset.options === wanted) return;
  select.dataset.options = wanted;
  select.replaceChildren(...all.map(([value, text, never]) => element("option", text, never ? { value, disabled: "" } : { value })));
  if (chosen) select.value = chosen;
}

function fillModels(select) { setOptions(select, named(select.dataset.kind)); }

// ---------------------------------------------------------------- checkpoints

// The family that a name tells, as the gateway sees it too.
function familyOf(name) {
  const has = (...marks) => marks.some((mark) => name.toLowerCase().includes(mark));
  if (has("svd", "stable-video", "stable_video")) return "svd";
  if (has("sd3", "stable-diffusion-3", "stable_diffusion_3")) return "sd35";
  return has("xl", "pony", "illustrious") ? "sdxl" : "sd15";
}

function fits(name, task) { return (familyOf(name) === "svd") === (task === "image_to_video"); }

function fillCheckpoints() {
  const select = find("checkpoint");
  const models = [...(known.get("checkpoint") || new Map())].sort(([a], [b]) => (a < b ? -1 : 1));
  const first = !select.value;
  setOptions(select, models.map(([name, model]) => {
    const note = model.usable ? model.loaded && "loaded" : "damaged";
    return [name, note ? `${name} (${note})` : name];
  }));
  if (first) chooseCheckpoint();
}

// The one that is loaded, of those that go with the task.
function chooseCheckpoint() {
  const models = known.get("checkpoint") || new Map();
  const fitting = namesOf("checkpoint").filter((name) => fits(name, chosenTask()));
  const best = fitting.find((name) => models.get(name).loaded) || fitting[0];
  if (best) find("checkpoint").value = best;
}

function chosenFamily() {
  const task = chosenTask();
  if (task === "image_to_video") return "svd";
  return find("family").value || familyOf(find("checkpoint").value);
}

function checkpointHint(task) {
  const name = find("checkpoint").value;
  const model = (known.get("checkpoint") || new Map()).get(name);
  if (!name) return "No checkpoint is there; give a whole graph, or look at models again below.";
  if (!model) return "No worker has it just now; a job waits until one does.";
  if (!model.usable) {
    const fallback = model.fallback ? ` Tick the box below and ${model.fallback} is used instead.` : "";
    return `Damaged ${model.problems.join("; ")}${fallback}`;
  }
  const family = chosenFamily();
  if (!fits(name, task) && !find("family").value) return `By its name this is one for ${task === "image_to_video" ? "pictures" : "video"}.`;
  const damaged = model.problems.length ? ` Damaged ${model.problems.join("; ")}` : "";
  return `${find("family").value || task === "image_to_video" ? "" : "By its name: "}${FAMILIES[family]}.${damaged}`;
}

// ---------------------------------------------------------------- what is shown

function chosenTask() {
  const backend = find("backend").value;
  return backend === "comfyui" ? find("task").value : backend || "sketch";
}

function showForm() {
  const name = find("backend").value;
  const task = chosenTask();
  for (const field of document.querySelectorAll("#form [data-for]")) {
    field.hidden = !field.dataset.for.split(" ").includes(task);
  }
  const pictures = SAMPLED.has(task) && task !== "image_to_video";
  find("encoders").hidden = !pictures || chosenFamily() !== "sd35";
  // an upscaler is all that this task has, so it is not among what is folded away
  find(task === "upscale" ? "main-upscaler" : "more-upscaler").append(find("upscaler-field"));
  const offer = offers.get(name);
  let hint = "";
  if (missing.has(name)) hint = `No worker offers this: ${[...missing.get(name)].join("; ")}`;
  else if (!offer) hint = "No worker offers this just now; a job waits until one does.";
  else if (!offer.healthy) hint = `Cannot take jobs just now: ${offer.problem || "its worker says no"}. A job waits.`;
  else if (name === "sketch") hint = "Draws by algorithm, needs no GPU.";
  setText(find("checkpoint-hint"), SAMPLED.has(task) ? checkpointHint(task) : "");
  if (PAID.has(name) && !missing.has(name)) hint = `Costs money: the price is shown before anything is spent. ${hint}`.trim();
  setText(find("backend-hint"), hint);
  setText(find("submit"), PAID.has(name) ? "Show the price" : "Make it");
  showPictures(name);
  if (task === "workflow") showWorkflow();
  if (task === "flux") showFlux();
  if (task === "v0") showSite();
}

function changeTask() {
  if (SAMPLED.has(chosenTask()) && !fits(find("checkpoint").value, chosenTask())) chooseCheckpoint();
  showForm();
}

for (const id of ["backend", "task"]) {
  find(id).addEventListener("change", () => {
    // what was wrong was about another form
    showProblem(find("form-problem"), null);
    markFields([]);
    changeTask();
  });
}
for (const id of ["workflow", "checkpoint", "family", "flux-model"]) find(id).addEventListener("change", showForm);
find("form").addEventListener("input", () => { touched = true; });
