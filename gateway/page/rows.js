// The built-in page: the parts of the form of which there are as many as somebody wants: LoRAs, ControlNets,
// and the parameters of a workflow.
"use strict";

// Of each list: what it is of, and its fields as [name in the request, label, attributes].
const ROWS = {
  loras: {
    kind: "lora",
    title: "LoRA",
    fields: [
      ["weight", "Weight", { min: "-100", max: "100", step: "0.05", placeholder: "1" }],
      ["clip_weight", "Weight for CLIP", { min: "-100", max: "100", step: "0.05", placeholder: "the same" }],
    ],
  },
  controls: {
    kind: "controlnet",
    title: "ControlNet",
    fields: [
      ["image", "Control picture", { type: "file", accept: "image/*" }],
      ["strength", "Strength", { min: "0", max: "10", step: "0.05", placeholder: "1" }],
      ["start", "Start", { min: "0", max: "1", step: "0.05", placeholder: "0" }],
      ["end", "End", { min: "0", max: "1", step: "0.05", placeholder: "1" }],
    ],
  },
};

let rows = 0;

function addRow(list) {
  const { kind, title: words, fields } = ROWS[list.id];
  rows += 1;
  const row = element("li", "", { class: "row grid" });
  const field = (part, label, input, wide) => {
    input.id = `row-${rows}-${part}`;
    input.dataset.part = part;
    const box = element("p", "", { class: wide ? "field wide" : "field" });
    box.append(element("label", label, { for: input.id }), input);
    row.append(box);
    return input;
  };
  const select = field("name", words, element("select", "", { "data-kind": kind }), true);
  fillModels(select);
  for (const [part, label, attributes] of fields) {
    field(part, label, element("input", "", { type: "number", ...attributes }), attributes.type === "file");
  }
  const remove = element("button", "Remove", { type: "button", class: "quiet" });
  remove.addEventListener("click", () => {
    row.remove();
    number(list);
    find(`add-${list.id}`).focus();
  });
  row.append(remove);
  list.append(row);
  number(list);
  if (select.options.length) select.focus();
  else select.after(element("span", `No worker has a ${words} just now.`, { class: "hint" }));
}

// So that a problem is shown at the field that it is about.
function number(list) {
  const { title: words } = ROWS[list.id];
  [...list.children].forEach((row, index) => {
    row.dataset.at = `${list.id}/${index}`;
    row.querySelector("button").setAttribute("aria-label", `Remove ${words} ${index + 1}`);
    row.setAttribute("aria-label", `${words} ${index + 1}`);
    for (const input of row.querySelectorAll("[data-part]")) input.dataset.at = `${list.id}/${index}/${input.dataset.part}`;
  });
}

async function readRows(list) {
  const found = [];
  for (const row of list.children) {
    const entry = {};
    for (const input of row.querySelectorAll("[data-part]")) {
      if (input.type === "file") entry[input.dataset.part] = await upload(input);
      else if (input.value !== "") entry[input.dataset.part] = input.type === "number" ? Number(input.value) : input.value;
    }
    found.push(entry);
  }
  return found.length ? found : undefined;
}

// ---------------------------------------------------------------- workflows

// What is known of the values of an input of a node.
const CHOICES = {
  ckpt_name: "checkpoint", lora_name: "lora", vae_name: "vae", model_name: "upscaler",
  sampler_name: "sampler", scheduler: "scheduler",
};
const WRITTEN = new Set(["text", "prompt", "string"]);

let shownWorkflow = "";

function showWorkflow() {
  const workflow = workflows.get(find("workflow").value);
  setText(find("workflow-hint"), workflow ? workflow.description || "" : "There is none of this name now.");
  if (!workflow) return;
  const parameters = workflow.parameters || [];
  // its own field for the seed is the better one
  if (parameters.some((parameter) => parameter.type === "seed")) find("seed").closest(".field").hidden = true;
  const text = JSON.stringify([workflow.name, parameters]);
  if (shownWorkflow === text) return;
  shownWorkflow = text;
  find("parameters").replaceChildren(...parameters.map(parameterField));
}

function parameterField(parameter, index) {
  const box = element("p", "", { class: parameter.type === "boolean" ? "field tick" : "field" });
  const input = parameterInput(parameter);
  const name = parameter.title || parameter.name;
  input.id = `parameter-${index}`;
  input.dataset.parameter = parameter.name;
  input.dataset.type = parameter.type;
  input.dataset.at = `parameters/${parameter.name}`;
  const label = element("label", isNeeded(parameter) ? `${name} (needed)` : name, { for: input.id });
  if (isNeeded(parameter)) {
    input.dataset.needed = "";
    input.setAttribute("aria-required", "true");
  }
  box.append(...(parameter.type === "boolean" ? [input, label] : [label, input]));
  return box;
}

function isNeeded(parameter) { return parameter.default === undefined && parameter.type !== "seed" && parameter.type !== "boolean"; }

function parameterInput(parameter) {
  const value = parameter.default ?? "";
  switch (parameter.type) {
    case "choice": {
      const select = element("select");
      const options = (parameter.options || []).map((option) => [option, option]);
      setOptions(select, isNeeded(parameter) ? [["", "choose one"], ...options] : options);
      select.value = value;
      return select;
    }
    case "asset":
      return element("input", "", { type: "file" });
    case "boolean": {
      const box = element("input", "", { type: "checkbox" });
      box.checked = value === true;
      return box;
    }
    case "text": {
      const choice = CHOICES[parameter.input];
      const written = WRITTEN.has(parameter.input) || String(value).includes("\n");
      const text = written ? element("textarea", "", { rows: "2" }) : element("input", "", { type: "text" });
      if (choice) text.setAttribute("list", `known-${choice}`);
      text.value = value;
      return text;
    }
    case "seed":
      return element("input", "", { type: "text", inputmode: "numeric", pattern: "[0-9]*", placeholder: "random" });
    default: {
      const input = element("input", "", { type: "number", step: parameter.type === "integer" ? "1" : "any" });
      for (const bound of ["min", "max"]) if (parameter[bound] !== undefined) input.setAttribute(bound, parameter[bound]);
      input.value = value;
      return input;
    }
  }
}

// The text of an object, because a seed is larger than a number of this language.
async function readParameters() {
  const parts = [];
  for (const input of find("parameters").querySelectorAll("[data-parameter]")) {
    const value = await parameterValue(input, input.dataset.type);
    if (value !== undefined) parts.push(`${JSON.stringify(input.dataset.parameter)}:${value}`);
  }
  return `{${parts.join(",")}}`;
}

// As JSON; nothing where the workflow's own value is meant.
async function parameterValue(input, type) {
  if (type === "boolean") return String(input.checked);
  if (type === "asset") {
    const reference = await upload(input);
    return reference && JSON.stringify(reference);
  }
  const text = input.value.trim();
  if (text === "" && (type !== "text" || "needed" in input.dataset)) return undefined;
  if (type === "text" || type === "choice") return JSON.stringify(input.value);
  if (/^-?(0|[1-9][0-9]*)$/.test(text)) return text;
  return Number.isFinite(Number(text)) ? String(Number(text)) : JSON.stringify(text);
}

for (const id of Object.keys(ROWS)) find(`add-${id}`).addEventListener("click", () => addRow(find(id)));
