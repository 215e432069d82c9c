// The built-in page: submits jobs and shows what becomes of them.
//
// What is shown comes from one event stream over all jobs and from the list that is read whenever that
// stream is (re)opened. Everything that jobs say is put into the page as text.
"use strict";

const SHOWN_AT_MOST = 300;
const FINISHED = new Set(["succeeded", "failed", "cancelled"]);
const KINDS = {
  submitted: "submitted", held: "held until somebody runs it", released: "let go", started: "started",
  phase: "phase", retry_scheduled: "failed, will be tried again", handed_back: "handed back by its worker",
  taken_back: "taken from its worker", cancel_requested: "cancellation requested",
  succeeded: "succeeded", failed: "failed", cancelled: "cancelled",
};

const find = (id) => document.getElementById(id);
const jobs = new Map(); // id -> card
let olderCursor = "";

// ---------------------------------------------------------------- calls

class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `the gateway answered ${status}`);
    this.body = body;
  }
}

async function call(method, path, body, headers = {}) {
  const options = { method, headers: { ...headers } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = body;
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Problem(0, { detail: "the gateway does not answer", remedy: "Is it running? The page goes on by itself when it is back." });
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(response.status, answer);
  return answer;
}

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function showProblem(box, error) {
  box.replaceChildren();
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

// ---------------------------------------------------------------- one job's card

class Card {
  constructor(job) {
    this.job = job;
    this.progress = null;
    this.dirty = false;
    this.root = find("job").content.firstElementChild.cloneNode(true);
    this.part = (name) => this.root.querySelector(`.${name}`);
    this.root.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-act]");
      if (button) this.act(button);
    });
    this.render();
  }

  get finished() { return FINISHED.has(this.job.status); }

  // What arrives late or twice changes nothing.
  take(job) {
    const newer = Number(job.revision || 0) - Number(this.job.revision || 0);
    if (newer < 0 || (newer === 0 && (this.finished || (this.job.waiting && !job.waiting)))) return;
    const before = this.job.status;
    this.job = job;
    if (job.status !== "running") this.progress = null;
    if (before !== job.status && FINISHED.has(job.status)) announce(`${title(job)}: ${job.status}`);
    this.schedule();
  }

  takeProgress(progress) {
    if (this.job.status !== "running" || (progress.attempt || 0) !== (this.job.attempt || 0)) return;
    this.progress = progress;
    this.schedule();
  }

  schedule() {
    if (this.dirty) return;
    this.dirty = true;
    requestAnimationFrame(() => { this.dirty = false; this.render(); });
  }

  render() {
    const job = this.job;
    this.root.dataset.id = job.id;
    setText(this.part("summary"), title(job));
    const badge = this.part("badge");
    setText(badge, job.status === "created" ? "held" : job.status);
    badge.dataset.status = job.status;
    setText(this.part("about"), about(job));
    this.renderWaiting(job);
    this.renderRunning(job);
    this.renderFailure(job);
    this.renderOutputs(job);
    this.renderTimeline(job);
    const offer = {
      cancel: !this.finished && !job.cancel,
      run: job.status === "created",
      retry: this.finished,
    };
    for (const [act, offered] of Object.entries(offer)) {
      const button = this.root.querySelector(`[data-act="${act}"]`);
      button.hidden = !offered;
      button.setAttribute("aria-label", `${button.textContent}: ${title(job)}`);
    }
  }

  renderWaiting(job) {
    let text = "";
    if (job.cancel && !this.finished) text = "Is being cancelled …";
    else if (job.status === "created") text = "Held: nothing happens until somebody runs it.";
    else if (job.status === "queued" && job.waiting) {
      text = `Waits: ${job.waiting.message}`;
      if (job.waiting.until) text += ` (until ${clock(job.waiting.until)})`;
    } else if (job.status === "queued") text = "Waits for a worker.";
    const box = this.part("waiting");
    setText(box, text);
    box.hidden = !text;
  }

  renderRunning(job) {
    const box = this.part("running");
    box.hidden = job.status !== "running";
    if (box.hidden) {
      this.part("preview").removeAttribute("src");
      this.part("preview").hidden = true;
      return;
    }
    const progress = this.progress || {};
    const bar = box.querySelector("progress");
    bar.value = progress.fraction || 0;
    bar.setAttribute("aria-label", `Progress of ${title(job)}`);
    setText(this.part("phase"), phase(progress));
    const preview = this.part("preview");
    if (progress.preview_url && (preview.hidden || preview.complete)) {
      if (preview.getAttribute("src") !== progress.preview_url) preview.src = progress.preview_url;
      preview.alt = `Preview of ${title(job)}`;
      preview.hidden = false;
    }
  }

  renderFailure(job) {
    const box = this.part("failure");
    const failure = job.status === "failed" || job.status === "queued" ? job.failure : null;
    box.hidden = !failure;
    if (!failure) return;
    const again = job.status === "queued" ? "The last attempt failed: " : "";
    setText(this.part("message"), again + (failure.message || failure.code || ""));
    setText(this.part("remedy"), failure.remedy || "");
    const link = this.part("page");
    link.hidden = !failure.code;
    if (failure.code) codeLink(link, failure.code);
  }

  renderOutputs(job) {
    const box = this.part("outputs");
    const outputs = job.outputs || [];
    box.hidden = outputs.length === 0;
    const shown = outputs.map((output) => output.id).join(" ");
    if (box.dataset.shown === shown) return;
    box.dataset.shown = shown;
    box.replaceChildren(...outputs.map((output) => file(output, job)));
  }

  renderTimeline(job) {
    const box = this.part("timeline");
    if (box.hidden) return;
    setText(box.querySelector(".id"), job.id);
    const list = box.querySelector("ol");
    const events = job.timeline || [];
    if (list.childElementCount === events.length) return;
    list.replaceChildren(...events.map((event) => {
      const item = element("li");
      item.append(element("time", clock(event.at), { datetime: event.at || "" }), element("span", happening(event)));
      return item;
    }));
  }

  async act(button) {
    const act = button.dataset.act;
    if (act === "timeline") {
      const box = this.part("timeline");
      box.hidden = !box.hidden;
      button.setAttribute("aria-expanded", String(!box.hidden));
      this.render();
      return;
    }
    button.disabled = true;
    try {
      take(await call("POST", `/api/jobs/${this.job.id}/${act}`));
      showProblem(this.part("problem"), null);
    } catch (error) {
      showProblem(this.part("problem"), error);
      if (error.body && error.body.job) take(error.body.job);
    } finally {
      button.disabled = false;
    }
  }
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function title(job) { return job.summary || "(no prompt)"; }

function about(job) {
  const parts = [job.backend || "unknown backend"];
  if (job.priority && job.priority !== "normal") parts.push(`${job.priority} priority`);
  if (job.created_at) parts.push(new Date(job.created_at).toLocaleString());
  if (job.attempt) parts.push(`attempt ${job.attempt} of at most ${(job.max_attempts || 0) + (job.handed_back || 0)}`);
  if (job.status === "running" && job.claim && job.claim.worker) parts.push(`on ${job.claim.worker}`);
  if (job.started_at && job.finished_at) {
    parts.push(`took ${duration((Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000)}`);
  }
  return parts.join(" · ");
}

function phase(progress) {
  const parts = [progress.phase || "starting"];
  if (progress.steps) parts.push(`step ${progress.step || 0} of ${progress.steps}`);
  parts.push(`${Math.round((progress.fraction || 0) * 100)} %`);
  if (progress.eta_seconds !== undefined) parts.push(`about ${duration(progress.eta_seconds)} to go`);
  if (progress.message) parts.push(progress.message);
  return parts.join(" · ");
}

function happening(event) {
  const parts = [KINDS[event.kind] || event.kind || "something happened"];
  if (event.kind === "phase") parts[0] = event.reason || "phase";
  else if (event.reason) parts.push(event.reason);
  if (event.seconds) parts.push(duration(event.seconds));
  if (event.attempt) parts.push(`attempt ${event.attempt}`);
  if (event.worker) parts.push(`on ${event.worker}`);
  return parts.join(" · ");
}

function file(output, job) {
  const address = `/api/artifacts/${encodeURIComponent(output.id)}/content`;
  const type = output.media_type || "";
  if (type.startsWith("video/")) {
    return element("video", "", { src: address, controls: "", preload: "metadata", "aria-label": `Result of ${title(job)}` });
  }
  const link = element("a", "", { href: address, target: "_blank", rel: "noopener" });
  if (type.startsWith("image/")) {
    const picture = element("img", "", { src: address, alt: `Result of ${title(job)}`, loading: "lazy" });
    if (output.width && output.height) {
      picture.width = output.width;
      picture.height = output.height;
    }
    link.append(picture);
  } else {
    link.textContent = output.filename || "file";
  }
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

function announce(text) { find("news").textContent = text; }

// ---------------------------------------------------------------- the list

function take(job) {
  if (!job || !job.id) return;
  const known = jobs.get(job.id);
  if (known) {
    known.take(job);
    return;
  }
  const card = new Card(job);
  jobs.set(job.id, card);
  insert(card);
  find("empty").hidden = true;
  prune();
}

// Newest first.
function insert(card) {
  const list = find("list");
  for (const other of list.children) {
    const shown = jobs.get(other.dataset.id);
    if (shown && newer(card.job, shown.job)) {
      list.insertBefore(card.root, other);
      return;
    }
  }
  list.append(card.root);
}

function newer(a, b) {
  const [left, right] = [Date.parse(a.created_at) || 0, Date.parse(b.created_at) || 0];
  return left === right ? a.id > b.id : left > right;
}

function prune() {
  const list = find("list");
  for (let item = list.lastElementChild; item && jobs.size > SHOWN_AT_MOST;) {
    const before = item.previousElementSibling;
    const card = jobs.get(item.dataset.id);
    if (card && card.finished) {
      jobs.delete(item.dataset.id);
      item.remove();
      find("more").hidden = true; // older pages would only be pruned again
    }
    item = before;
  }
}

async function loadPage(cursor) {
  const page = await call("GET", `/api/jobs?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
  page.jobs.forEach(take);
  if (cursor || !olderCursor) olderCursor = page.next_cursor;
  find("more").hidden = !olderCursor || jobs.size >= SHOWN_AT_MOST;
}

// ---------------------------------------------------------------- live events

let source = null;
let lastSeen = "";
let pause = 1000;

function connect() {
  source = new EventSource(`/api/jobs/stream${lastSeen ? `?last_event_id=${encodeURIComponent(lastSeen)}` : ""}`);
  source.addEventListener("open", () => {
    pause = 1000;
    setLink("live", "live");
    refresh();
  });
  source.addEventListener("job", (event) => {
    lastSeen = event.lastEventId || lastSeen;
    take(JSON.parse(event.data));
    countSoon();
  });
  source.addEventListener("progress", (event) => {
    const progress = JSON.parse(event.data);
    const card = jobs.get(progress.job);
    if (card) card.takeProgress(progress);
  });
  source.addEventListener("error", () => {
    setLink("lost", "connection lost, trying again …");
    // the browser itself connects again, except where the answer was an error
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(connect, pause);
    pause = Math.min(pause * 2, 10000);
  });
}

function setLink(state, text) {
  const link = find("link");
  if (link.dataset.state === state) return;
  link.dataset.state = state;
  link.textContent = text;
}

async function refresh() {
  try {
    await loadPage("");
    await Promise.all([refreshUnfinished(), refreshFleet(), refreshCounts()]);
  } catch {
    // the event stream shows whether the gateway is there
  }
}

// What happened to older jobs while the connection was lost.
async function refreshUnfinished() {
  const open = [...jobs.values()].filter((card) => !card.finished).slice(0, 100);
  for (const card of open) take(await call("GET", `/api/jobs/${card.job.id}`));
}

// Why a job waits changes without the job itself changing.
async function refreshWaiting() {
  if (![...jobs.values()].some((card) => card.job.status === "queued")) return;
  try {
    await loadPage("");
  } catch {
    // the event stream shows whether the gateway is there
  }
}

let counting = null;

function countSoon() {
  counting ??= setTimeout(() => {
    counting = null;
    refreshCounts();
  }, 1000);
}

async function refreshCounts() {
  let health;
  try {
    health = await fetch("/api/health").then((response) => response.json());
  } catch {
    return;
  }
  const queue = health.queue || {};
  const troubles = Object.entries(health.parts || {}).filter(([, state]) => state !== "ok").map(([part, state]) => `${part}: ${state}`);
  const workers = health.workers === 1 ? "1 worker" : `${health.workers || 0} workers`;
  setText(find("counts"), [workers, `${queue.running || 0} running`, `${queue.queued || 0} queued`, ...troubles].join(" · "));
}

// ---------------------------------------------------------------- the form

let offers = new Map(); // backend -> { free, problem }

async function refreshFleet() {
  try {
    const [{ workers }, { models }] = await Promise.all([call("GET", "/api/workers"), call("GET", "/api/models")]);
    offers = new Map();
    for (const worker of workers) {
      for (const offer of worker.backends || []) {
        const known = offers.get(offer.backend) || { healthy: false, problem: "" };
        known.healthy ||= Boolean(offer.healthy) && !worker.draining;
        known.problem ||= offer.problem || (worker.draining ? "its worker is stopping" : "");
        offers.set(offer.backend, known);
      }
    }
    const backends = offers.size ? [...offers.keys()].sort() : ["sketch"];
    setOptions(find("backend"), backends.map((name) => [name, name === "sketch" ? "sketch (no AI model)" : name]));
    const checkpoints = models.filter((model) => model.kind === "checkpoint").map((model) => model.name).sort();
    setOptions(find("checkpoint"), checkpoints.map((name) => [name, name]));
    showBackend();
  } catch {
    // the event stream shows whether the gateway is there
  }
}

function setOptions(select, options) {
  const wanted = options.map(([value]) => value).join("\n");
  if (select.dataset.options === wanted) return;
  const chosen = select.value;
  select.dataset.options = wanted;
  select.replaceChildren(...options.map(([value, text]) => element("option", text, { value })));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

function showBackend() {
  const name = find("backend").value;
  find("comfyui").hidden = name !== "comfyui";
  const offer = offers.get(name);
  let hint = "";
  if (!offer) hint = "No worker offers this just now; a job waits until one does.";
  else if (!offer.healthy) hint = `Cannot take jobs just now: ${offer.problem || "its worker says no"}. A job waits.`;
  else if (name === "sketch") hint = "Draws by algorithm, needs no GPU.";
  else if (!find("checkpoint").options.length) hint = "No checkpoint is there; give a whole graph.";
  setText(find("backend-hint"), hint);
}

function request() {
  const number = (id) => {
    const text = find(id).value.trim();
    return text === "" ? undefined : Number(text);
  };
  const backend = find("backend").value;
  const seed = find("seed").value.trim();
  const graph = backend === "comfyui" ? find("graph").value.trim() : "";
  const body = { prompt: find("prompt").value, seed: seed === "" ? undefined : seed };
  if (graph) return { comfyui: { seed: body.seed, graph } };
  Object.assign(body, { width: number("width"), height: number("height"), steps: number("steps") });
  if (backend === "comfyui") {
    body.negative_prompt = find("negative").value || undefined;
    body.checkpoint = find("checkpoint").value || undefined;
  }
  return { [backend]: body };
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
  const text = JSON.stringify(request());
  button.disabled = true;
  markFields([]);
  try {
    take(await call("POST", "/api/jobs", text, { "Idempotency-Key": keyFor(text) }));
    pending = { text: "", key: "" };
    showProblem(find("form-problem"), null);
    announce("Submitted");
  } catch (error) {
    showProblem(find("form-problem"), error);
    markFields((error.body && error.body.faults) || []);
  } finally {
    button.disabled = false;
  }
}

function markFields(faults) {
  const blamed = new Set(faults.map((fault) => fault.pointer.split("/")[2]));
  for (const id of ["prompt", "width", "height", "steps", "seed", "checkpoint", "graph"]) {
    find(id).setAttribute("aria-invalid", String(blamed.has(id)));
  }
}

find("form").addEventListener("submit", submit);
find("backend").addEventListener("change", showBackend);
find("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) find("form").requestSubmit();
});
find("more").addEventListener("click", () => loadPage(olderCursor).catch(() => {}));
setInterval(refreshFleet, 10000);
setInterval(refreshCounts, 10000);
setInterval(refreshWaiting, 5000);
showBackend();
connect();
