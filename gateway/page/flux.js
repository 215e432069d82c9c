// The built-in page: what can be asked of FLUX. Each model has fields of its own; the gateway's table says which.
"use strict";

const LABELS = {
  aspect_ratio: "Aspect ratio", output_format: "Format", safety_tolerance: "Safety tolerance (0 is strict)",
  prompt_upsampling: "Let the model rewrite the prompt", disable_pup: "Leave the prompt as it is",
  raw: "Raw: less processed", image_prompt_strength: "How much the image shows", dilate_pixels: "Let the mask grow by (pixels)",
  top: "Add at the top (pixels)", bottom: "Add at the bottom (pixels)", left: "Add at the left (pixels)", right: "Add at the right (pixels)",
  finetune_id: "Finetuned model", finetune_strength: "How much of that model shows",
  preprocessed: "The image is an edge or depth picture already", auto_crop: "Cut off what lies beyond the canvas",
  reference_offset_x: "Image from the left (pixels)", reference_offset_y: "Image from the top (pixels)",
};
// What stands in the form already.
const SHARED = new Set(["prompt", "seed"]);
// What is folded away, unless it is needed.
const RARE = new Set([
  "prompt_upsampling", "disable_pup", "steps", "guidance", "dilate_pixels", "image_prompt_strength", "finetune_strength",
  "canny_low_threshold", "canny_high_threshold", "preprocessed", "auto_crop", "reference_offset_x", "reference_offset_y",
]);
const RATIOS = ["1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", "21:9", "9:21"];
const STATES_OF_MODELS = { legacy: "older", withdrawn: "withdrawn" };
// A model of a worker that is newer than this gateway.
const UNKNOWN_MODEL = {
  title: "", note: "This gateway does not know which fields it takes.", one_of: [], priced: true,
  fields: [{ name: "prompt", kind: "text" }, { name: "seed", kind: "integer" }], images: [], images_needed: 0,
};

const flux = { models: new Map(), default: "", shown: "", mask: null };
const written = new Map(); // field -> what was written into it, also where the model that is chosen has no such field

async function loadFlux() {
  if (flux.models.size || !offers.has("flux")) return;
  const told = await call("GET", "/api/flux/models");
  flux.models = new Map(told.models.map((model) => [model.name, model]));
  flux.default = told.default;
  showForm();
}

function fluxModel() { return flux.models.get(find("flux-model").value) || UNKNOWN_MODEL; }

function showFlux() {
  // without the table nobody knows what to ask for
  if (!flux.models.size) return;
  fillFluxModels();
  const model = fluxModel();
  const has = new Map(model.fields.map((field) => [field.name, field]));
  for (const name of SHARED) find(name).closest(".field").hidden = !has.has(name);
  const price = model.priced ? "" : "Its price is not known.";
  setText(find("flux-hint"), [model.note, price].filter(Boolean).join(" "));
  if (flux.shown !== find("flux-model").value) {
    flux.shown = find("flux-model").value;
    buildFields(model);
  }
  find("flux-fields").hidden = !find("flux-fields").childElementCount;
  find("flux-more").hidden = !find("flux-more-fields").childElementCount;
}

function fillFluxModels() {
  const select = find("flux-model");
  const served = new Set(namesOf("flux"));
  const offered = [...flux.models.values()].filter((model) => served.has(model.name));
  const options = offered.map((model) => {
    const state = STATES_OF_MODELS[model.state];
    return [model.name, state ? `${model.title} (${state})` : model.title];
  });
  const others = [...served].filter((name) => !flux.models.has(name)).map((name) => [name, name]);
  const first = !select.value;
  setOptions(select, [...options, ...others]);
  if (first && served.has(flux.default)) select.value = flux.default;
  showPictures("flux");
}

function buildFields(model) {
  const [plain, folded] = [[], []];
  flux.mask = null;
  for (const field of model.fields) {
    if (SHARED.has(field.name)) continue;
    const isRare = RARE.has(field.name) && field.required !== "always";
    (isRare ? folded : plain).push(fluxField(field, model));
  }
  find("flux-fields").replaceChildren(...plain);
  find("flux-more-fields").replaceChildren(...folded);
}

function fluxField(field, model) {
  if (field.kind === "file") return maskField(field);
  const isTick = field.kind === "flag";
  const box = element("p", "", { class: isTick ? "field tick wide" : "field" });
  const input = fluxInput(field);
  input.id = `flux-${field.name}`;
  input.dataset.at = field.name;
  input.dataset.kind = field.kind;
  if (isTick) {
    input.dataset.usual = String(field.default === true);
    input.checked = written.get(field.name) ?? field.default === true;
  } else if (field.kind !== "choice" || field.options.includes(written.get(field.name))) {
    input.value = written.get(field.name) ?? "";
  }
  input.addEventListener("input", () => written.set(field.name, isTick ? input.checked : input.value));
  if (field.required === "always") input.setAttribute("aria-required", "true");
  const label = element("label", fluxLabel(field, model), { for: input.id });
  box.append(...(isTick ? [input, label] : [label, input]));
  if (field.kind === "ratio") {
    input.setAttribute("list", "flux-ratios");
    const list = element("datalist", "", { id: "flux-ratios" });
    list.append(...(field.options || RATIOS).map((ratio) => element("option", "", { value: ratio })));
    box.append(list);
  }
  return box;
}

function fluxLabel(field, model) {
  const words = LABELS[field.name] || field.name.charAt(0).toUpperCase() + field.name.slice(1).replaceAll("_", " ");
  if (field.required === "always") return `${words} (needed)`;
  return model.one_of.includes(field.name) ? `${words} (one of these is needed)` : words;
}

function fluxInput(field) {
  const usual = field.default === undefined ? "as usual" : String(field.default);
  switch (field.kind) {
    case "choice": {
      const select = element("select");
      select.append(element("option", `as usual${field.default ? ` (${field.default})` : ""}`, { value: "" }));
      select.append(...field.options.map((option) => element("option", option, { value: option })));
      return select;
    }
    case "flag":
      return element("input", "", { type: "checkbox" });
    case "integer":
    case "number": {
      const step = field.kind === "integer" ? String(field.multiple || 1) : "any";
      const input = element("input", "", { type: "number", step, placeholder: usual });
      for (const bound of ["min", "max"]) if (field[bound] !== undefined) input.setAttribute(bound, field[bound]);
      return input;
    }
    default:
      return element("input", "", { type: "text", autocomplete: "off", spellcheck: "false", placeholder: usual });
  }
}

function maskField(field) {
  const box = element("fieldset", "", { class: "wide", "data-at": field.name });
  flux.mask = new Pictures(box);
  flux.mask.shapeAs({ title: "Mask", most: 1, needed: field.required === "always" ? 1 : 0, roles: ["white is painted anew"] });
  return box;
}

// ---------------------------------------------------------------- the request

async function readFlux(seed) {
  const has = new Set(fluxModel().fields.map((field) => field.name));
  const body = { model: find("flux-model").value };
  if (has.has("prompt")) body.prompt = find("prompt").value;
  if (has.has("seed")) body.seed = seed;
  for (const input of find("form").querySelectorAll("#flux-fields [data-kind], #flux-more-fields [data-kind]")) {
    const value = fluxValue(input);
    if (value !== undefined) body[input.dataset.at] = value;
  }
  if (!find("images").hidden) {
    const references = await images.read();
    if (references.length) body.images = references;
  }
  if (flux.mask) [body.mask] = await flux.mask.read();
  return body;
}

function fluxValue(input) {
  if (input.dataset.kind === "flag") return String(input.checked) === input.dataset.usual ? undefined : input.checked;
  const text = input.value.trim();
  if (text === "") return undefined;
  return input.type === "number" ? Number(text) : text;
}
