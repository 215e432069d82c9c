// The built-in page: who is there, and the ComfyUI of each.
"use strict";

const STATES = {
  unmanaged: "looked after by somebody else", stopped: "stopped", starting: "starting", running: "running",
  stopping: "stopping", backing_off: "died, is started again soon", failed: "failed, a person has to start it",
};
const LOG_PAUSE = 3000;
const stands = new Map(); // worker -> its part of the page

class Stand {
  constructor(name) {
    this.name = name;
    this.busy = false;
    this.outdated = ""; // the time of an announcement that is not to be shown
    this.host = {};
    this.root = find("worker").content.firstElementChild.cloneNode(true);
    this.part = (part) => this.root.querySelector(`.${part}`);
    this.part("name").textContent = name;
    for (const button of this.root.querySelectorAll("button[data-act]")) {
      button.setAttribute("aria-label", `${button.textContent}: ComfyUI of ${name}`);
      button.addEventListener("click", () => this.act(button.dataset.act));
    }
    this.part("lines").setAttribute("aria-label", `Log of ComfyUI of ${name}`);
    this.part("log").addEventListener("toggle", () => { if (this.part("log").open) this.showLog(); });
  }

  get address() { return `/api/workers/${encodeURIComponent(this.name)}/comfyui`; }

  show(worker) {
    const offers = (worker.backends || []).map((offer) => {
      const state = offer.healthy ? `${offer.busy || 0} of ${offer.slots || 0} busy` : offer.problem || "not ready";
      return `${offer.software || offer.backend}: ${state}`;
    });
    const draining = worker.draining ? "is stopping" : "";
    setText(this.part("offers"), [worker.host, draining, ...offers].filter(Boolean).join(" · "));
    const comfyui = (worker.backends || []).find((offer) => offer.backend === "comfyui");
    this.part("comfyui").hidden = !comfyui;
    if (!comfyui) return;
    showLines(this.part("devices"), (comfyui.devices || []).map(device));
    const models = comfyui.models || [];
    showLines(this.part("damaged"), models.filter((model) => model.problem).map(damaged));
    this.part("damage").hidden = !models.some((model) => model.problem);
    if (!this.busy && !this.isStale(worker)) this.showState(comfyui.host || {});
  }

  // What is announced is older than what this page was just told, until the next announcement.
  isStale(worker) {
    if (this.outdated === "the next") this.outdated = worker.at;
    if (this.outdated === worker.at) return true;
    this.outdated = "";
    return false;
  }

  get isMoving() { return this.outdated || ["starting", "stopping", "backing_off"].includes(this.host.state); }

  showState(host) {
    const state = host.state || "unmanaged";
    this.host = host;
    const until = state === "backing_off" && host.until ? `at ${clock(host.until)}` : "";
    const restarts = host.restarts && !host.message ? `started anew ${plural(host.restarts, "time", "times")}` : "";
    // while it runs, the message is about how the one before ended
    const message = state === "running" && host.message ? `the last change: ${host.message}` : host.message;
    setText(this.part("state"), [`ComfyUI: ${STATES[state] || state}`, until, restarts, message].filter(Boolean).join(" · "));
    const up = ["running", "starting", "stopping", "backing_off"].includes(state);
    const offered = { start: state !== "running" && state !== "starting", stop: up, restart: up };
    for (const [act, may] of Object.entries(offered)) {
      this.root.querySelector(`[data-act="${act}"]`).hidden = state === "unmanaged" || !may;
    }
    for (const button of this.root.querySelectorAll("button[data-act]")) button.disabled = this.busy;
  }

  async act(act) {
    this.busy = true;
    const focused = this.root.contains(document.activeElement);
    for (const button of this.root.querySelectorAll("button[data-act]")) button.disabled = true;
    showProblem(this.part("problem"), null);
    try {
      if (act === "rescan") await this.rescan();
      else if (act === "verify") await verify(this);
      else await this.control(act);
    } catch (error) {
      this.showState(this.host);
      showProblem(this.part("problem"), error);
    }
    this.busy = false;
    for (const button of this.root.querySelectorAll("button[data-act]")) button.disabled = false;
    await refreshFleet();
    // a button that is gone takes the focus with it
    const next = this.root.querySelector(`[data-act="${act}"]:not([hidden])`) || this.root.querySelector("[data-act]:not([hidden])");
    if (focused && next && [document.body, null].includes(document.activeElement)) next.focus();
  }

  async control(act) {
    setText(this.part("state"), `ComfyUI: ${act} …`);
    let failed = null;
    await follow("POST", `${this.address}/${act}`, (name, told) => {
      if (name === "failed") failed = told;
      else {
        this.outdated = "the next";
        this.showState(told);
      }
      if (name === "done") announce(`ComfyUI of ${this.name}: ${STATES[told.state] || told.state}`);
    });
    if (failed) throw new Problem(failed.status, failed);
  }

  async rescan() {
    setText(this.part("note"), "Looks at models …");
    const worker = encodeURIComponent(this.name);
    const told = await call("POST", `/api/models/rescan?worker=${worker}`).catch((error) => {
      setText(this.part("note"), "");
      throw error;
    });
    setText(this.part("note"), rescanned(told));
  }

  // Again and again while it is open; whoever has scrolled up stays there.
  async showLog() {
    clearTimeout(this.later);
    if (!this.part("log").open || !this.root.isConnected) return;
    const text = this.part("lines");
    let pause = LOG_PAUSE;
    try {
      const { lines } = await call("GET", `${this.address}/logs?lines=500`);
      const atEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 8;
      setText(text, lines.length ? lines.join("\n") : "The log is empty.");
      if (atEnd) text.scrollTop = text.scrollHeight;
    } catch (error) {
      if (!text.textContent) text.textContent = error.message;
      pause *= 5;
    }
    this.later = setTimeout(() => this.showLog(), pause);
  }
}

function showLines(list, lines) {
  const text = JSON.stringify(lines);
  if (list.dataset.lines === text) return;
  list.dataset.lines = text;
  list.replaceChildren(...lines.map((line) => element("li", line)));
  list.hidden = lines.length === 0;
}

function device(told) {
  const parts = [];
  const total = Number(told.memory_total_bytes || 0);
  if (total) parts.push(`${gibibytes(told.memory_free_bytes)} of ${gibibytes(total)} GiB free`);
  if (told.utilization_percent !== undefined) parts.push(`${told.utilization_percent} % busy`);
  if (told.temperature_celsius !== undefined) parts.push(`${told.temperature_celsius} °C`);
  if (told.power_watts !== undefined) parts.push(`${Math.round(told.power_watts)} W`);
  return `${told.name || "device"}: ${parts.join(" · ")}`;
}

function damaged(model) {
  const instead = model.fallback ? ` Jobs that allow it use ${model.fallback} instead.` : "";
  return `${model.name} (${model.kind.replaceAll("_", " ")}): ${model.problem}${instead}`;
}

function showWorkers(workers) {
  const there = new Set(workers.map((worker) => worker.id));
  for (const [name, stand] of stands) {
    if (!there.has(name)) {
      stand.root.remove();
      stands.delete(name);
    }
  }
  for (const worker of workers) {
    if (!stands.has(worker.id)) {
      stands.set(worker.id, new Stand(worker.id));
      find("workers").append(stands.get(worker.id).root);
    }
    stands.get(worker.id).show(worker);
  }
  find("no-workers").hidden = workers.length > 0;
}
