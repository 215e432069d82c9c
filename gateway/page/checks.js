// The built-in page: model files looked at and checked, and everything brought up step by step.
"use strict";

const NOT_FILES = new Set(["sampler", "scheduler"]);
const STEPS = { started: "…", done: "✓", skipped: "✓", failed: "✗" };

// What a worker found when it looked at its models again.
function rescanned(told) {
  const offer = ((told.workers || [])[0] || {}).offer || {};
  const models = (offer.models || []).filter((model) => !NOT_FILES.has(model.kind));
  const broken = models.filter((model) => model.problem).length;
  const text = `Looked again: ${plural(models.length, "model file", "model files")}, ${broken || "none"} of them damaged.`;
  announce(text);
  return text;
}

// Checks the model files of one worker and names the broken ones as they are found.
async function verify(stand) {
  const [note, bar, list] = [stand.part("note"), stand.part("checking"), stand.part("broken")];
  list.replaceChildren();
  list.hidden = true;
  bar.removeAttribute("value");
  bar.hidden = false;
  setText(note, "Checks model files …");
  try {
    await follow("GET", `/api/models/verify?worker=${encodeURIComponent(stand.name)}`, (name, told) => {
      if (name === "progress") {
        if (told.files) bar.value = (told.files_done || 0) / told.files;
        setText(note, `Checks model files: ${told.files_done || 0} of ${told.files || 0} …`);
      } else if (name === "file" && told.reason) {
        list.append(broken(told));
        list.hidden = false;
      } else if (name === "failed") {
        throw new Problem(told.status, told);
      } else if (name === "done") {
        setText(note, `Checked ${plural(told.files, "file", "files")}: ${told.damaged ? `${told.damaged} damaged` : "all are well"}.`);
        announce(note.textContent);
      }
    });
  } catch (error) {
    setText(note, "");
    throw error;
  } finally {
    bar.hidden = true;
  }
}

function broken(file) {
  const item = element("li");
  item.append(
    element("strong", `${file.name} (${(file.kind || "").replaceAll("_", " ")}, ${size(file.size_bytes)})`),
    element("p", file.message || file.reason),
  );
  if (file.remedy) item.append(element("p", file.remedy, { class: "hint" }));
  return item;
}

function size(bytes) {
  const count = Number(bytes || 0);
  if (count < 1024) return plural(count, "byte", "bytes");
  return count < 2 ** 30 ? `${(count / 2 ** 20).toFixed(1)} MiB` : `${gibibytes(count)} GiB`;
}

// ---------------------------------------------------------------- everything up

// A step is told when it begins and when it ends; it keeps its line.
function showStep(list, step) {
  const key = `${step.worker}\n${step.name}`;
  let line = [...list.children].find((other) => other.dataset.key === key);
  if (!line) {
    line = element("li", "", { "data-key": key });
    list.append(line);
  }
  line.dataset.state = step.state;
  const about = [step.worker, step.name].filter(Boolean).join(": ");
  setText(line, `${STEPS[step.state] || "·"} ${about}${step.message ? `: ${step.message}` : ""}`);
}

async function ignite() {
  const button = find("ignite");
  const list = find("ignite-steps");
  button.disabled = true;
  list.replaceChildren();
  list.hidden = false;
  showProblem(find("ignite-problem"), null);
  setText(find("ignite-hint"), "Bringing everything up …");
  try {
    await follow("POST", "/api/system/ignite", (name, told) => {
      if (name === "step") showStep(list, told);
      else setText(find("ignite-hint"), told.message || "");
    });
  } catch (error) {
    setText(find("ignite-hint"), "");
    showProblem(find("ignite-problem"), error);
  }
  button.disabled = false;
  if (document.activeElement === document.body) button.focus();
  refreshFleet();
}

find("ignite").addEventListener("click", ignite);
