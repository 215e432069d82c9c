// The built-in page: pictures that a job begins with, each a file from this computer or an earlier result.
"use strict";

const RESULTS_AT_MOST = 50;
const SERVICES_TAKE = { flux: 8, v0: 8 }; // where the model does not say

let pictures = 0;

// Pictures in one fieldset, whose place in the request is its `data-at`.
class Pictures {
  constructor(box) {
    this.box = box;
    this.shape = "";
    this.legend = element("legend");
    this.list = element("ol", "", { class: "rows" });
    this.fromFile = element("button", "Add a file", { type: "button", class: "quiet" });
    this.fromResult = element("button", "Add an earlier result", { type: "button", class: "quiet" });
    this.fromFile.addEventListener("click", () => this.add(this.file()));
    this.fromResult.addEventListener("click", () => this.addResult(""));
    const buttons = element("div", "", { class: "actions" });
    buttons.append(this.fromFile, this.fromResult);
    box.classList.add("pictures");
    box.replaceChildren(this.legend, this.list, buttons);
  }

  // What they are called, how many there may be and must be, and what each is for.
  shapeAs({ title: words, most, needed = 0, roles = [] }) {
    const text = JSON.stringify([words, most, needed, roles]);
    if (this.shape === text) return;
    this.shape = text;
    Object.assign(this, { words, most, needed, roles });
    this.plain = most > 1 ? `${words}s` : words;
    this.legend.textContent = needed > 1 ? `${this.plain} (${needed} needed)` : needed ? `${this.plain} (needed)` : this.plain;
    // rows that only stood there because another model needs them
    for (const row of [...this.list.querySelectorAll("[data-offered]")]) if (!row.querySelector("input").files.length) row.remove();
    while (this.list.childElementCount < needed) {
      const row = this.file();
      row.dataset.offered = "";
      this.list.append(row);
    }
    this.number();
  }

  get isFull() { return this.list.childElementCount >= this.most; }

  // A row that waits for a file.
  get free() {
    return [...this.list.children].find((row) => row.querySelector('input[type="file"]') && !row.querySelector("input").files.length);
  }

  add(row) {
    this.list.append(row);
    this.number();
    row.querySelector("input, select").focus();
  }

  // Where a file was waited for, it comes instead.
  addResult(id) {
    const row = this.result(id);
    const free = this.free;
    if (!free) return this.add(row);
    free.replaceWith(row);
    this.number();
    return row.querySelector("select").focus();
  }

  file() {
    return this.row(element("input", "", { type: "file", accept: "image/*" }));
  }

  // One of the results that the page shows; `id` may be any.
  result(id) {
    const select = element("select");
    const shown = element("img", "", { alt: "", class: "thumb", loading: "lazy" });
    const show = () => {
      shown.hidden = !select.value;
      if (select.value) shown.src = `/api/artifacts/${encodeURIComponent(select.value)}/content`;
    };
    const fill = () => setOptions(select, [["", "choose one"], ...recentResults(id)]);
    fill();
    select.value = id;
    select.addEventListener("focus", fill);
    select.addEventListener("change", show);
    show();
    return this.row(select, shown);
  }

  row(input, ...more) {
    pictures += 1;
    input.id = `picture-${pictures}`;
    input.addEventListener("change", () => this.number());
    const row = element("li", "", { class: "row" });
    const field = element("p", "", { class: "field" });
    field.append(element("label", "", { for: input.id }), input, ...more);
    const remove = element("button", "Remove", { type: "button", class: "quiet" });
    remove.addEventListener("click", () => {
      row.remove();
      this.number();
      (this.list.querySelector("input, select") || this.fromFile).focus();
    });
    row.append(field, remove);
    return row;
  }

  number() {
    [...this.list.children].forEach((row, index) => {
      const input = row.querySelector("input, select");
      const count = this.most > 1 ? `${this.words} ${index + 1}` : this.words;
      const name = this.roles[index] ? `${count}: ${this.roles[index]}` : count;
      row.querySelector("label").textContent = index < this.most ? name : `${name} (one too many)`;
      row.querySelector("button").setAttribute("aria-label", `Remove ${name}`);
      input.dataset.at = this.most > 1 ? `${this.box.dataset.at}/${index}` : this.box.dataset.at;
    });
    this.fromFile.hidden = this.isFull;
    this.fromResult.hidden = this.isFull && !this.free;
  }

  // References, in their order.
  async read() {
    const inputs = [...this.list.querySelectorAll("input, select")];
    const empty = inputs.filter((input) => !(input.type === "file" ? input.files.length : input.value));
    if (empty.length) {
      const faults = empty.map((input) => ({ pointer: `/form/${place(input)}`, message: "choose one, or remove it" }));
      throw new Problem(0, { detail: "The request has a fault.", faults });
    }
    const found = [];
    for (const input of inputs) found.push(input.type === "file" ? await upload(input) : `artifact:${input.value}`);
    return found;
  }
}

// ---------------------------------------------------------------- earlier results

// The pictures that a job made; those of a site are parts of it.
function picturesOf(job) {
  if (job.backend === "v0") return [];
  return (job.outputs || []).filter((output) => (output.media_type || "").startsWith("image/"));
}

function pictureOf(job) { return picturesOf(job)[0]; }

// Those of the jobs on the page, newest first; `kept` is among them though its job may not be.
function recentResults(kept) {
  const shown = [...find("list").children].map((item) => jobs.get(item.dataset.id)).filter(Boolean);
  const all = shown.flatMap((card) => picturesOf(card.job).map((output, index) => {
    const several = picturesOf(card.job).length > 1 ? ` (${index + 1})` : "";
    return [output.id, `${title(card.job).slice(0, 60)}${several}, ${clock(card.job.created_at)}`];
  }));
  const few = all.slice(0, RESULTS_AT_MOST);
  if (kept && !few.some(([id]) => id === kept)) few.push([kept, kept]);
  return few;
}

// ---------------------------------------------------------------- those of the form

const images = new Pictures(find("images"));

function showPictures(backend) {
  if (!PAID.has(backend)) return;
  const model = backend === "flux" ? fluxModel() : null;
  const names = model ? model.images || [] : [];
  find("images").hidden = Boolean(model) && names.length === 0;
  images.shapeAs({
    title: "Image",
    most: model ? names.length : SERVICES_TAKE[backend],
    needed: model ? model.images_needed || 0 : 0,
    // only a name that says more than that it is an image
    roles: names.map((name) => (name.includes("image") ? "" : name.replaceAll("_", " "))),
  });
}

// The backends that begin with pictures and are there.
function takers() { return Object.keys(SERVICES_TAKE).filter((backend) => offers.has(backend)); }

function usePicture(output) {
  const backend = find("backend");
  if (!takers().includes(backend.value)) backend.value = takers()[0];
  changeTask();
  if (find("images").hidden) {
    // this model takes none; the usual one does
    find("flux-model").value = flux.default;
    changeTask();
  }
  touched = true;
  if (images.isFull && !images.free) images.list.lastElementChild.remove();
  images.addResult(output.id);
  find("images").scrollIntoView({ block: "center" });
}
