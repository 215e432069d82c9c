// The built-in page: the cards of jobs, and their list. What is shown comes from one event stream over all
// jobs and from the list that is read whenever that stream is (re)opened.
"use strict";

const SHOWN_AT_MOST = 300;
const FINISHED = new Set(["succeeded", "failed", "cancelled"]);
const KINDS = {
  submitted: "submitted", held: "held until somebody runs it", released: "let go", started: "started",
  phase: "phase", retry_scheduled: "failed, will be tried again", handed_back: "handed back by its worker",
  taken_back: "taken from its worker", cancel_requested: "cancellation requested",
  succeeded: "succeeded", failed: "failed", cancelled: "cancelled",
};

const jobs = new Map(); // id -> card
let olderCursor = "";

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
    const isKnown = this.finished && isCharged(job) === isCharged(this.job);
    if (newer < 0 || (newer === 0 && (isKnown || (this.job.waiting && !job.waiting)))) return;
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
    const isUnknown = doubted.has(job.id);
    setText(badge, isUnknown ? "outcome unknown" : job.status === "created" ? "held" : job.status);
    badge.dataset.status = isUnknown ? "unknown" : job.status;
    setText(this.part("about"), about(job));
    renderMoney(this, job);
    renderSite(this.part("site"), job.site);
    this.renderWaiting(job);
    this.renderRunning(job);
    this.renderFailure(job);
    this.renderOutputs(job);
    this.renderReplaced(job);
    this.renderTimeline(job);
    const offer = {
      cancel: !this.finished && !job.cancel,
      run: job.status === "created",
      retry: this.finished && !isUnknown,
      continue: this.finished && Boolean(chatOf(job)) && offers.has("v0"),
      use: Boolean(pictureOf(job)) && takers().length > 0,
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
    // the pictures of a site are parts of it
    const isSeen = (output) => job.backend !== "v0" && /^(image|video)\//.test(output.media_type || "");
    const files = outputs.filter((output) => !isSeen(output));
    box.replaceChildren(...outputs.filter(isSeen).map((output) => file(output, job)), ...fileList(files, job));
  }

  // What was used instead of what was asked for, and the recipe of the result.
  renderReplaced(job) {
    const box = this.part("replaced");
    const notes = (job.substitutions || []).map((note) => {
      const field = (note.pointer || "").split("/").pop();
      return `${field}: ${note.given || "nothing"} → ${note.used} (${note.reason})`;
    });
    setText(box, notes.join("\n"));
    box.hidden = notes.length === 0;
    const link = this.part("recipe");
    link.hidden = !job.recipe;
    if (job.recipe) link.href = `/api/artifacts/${encodeURIComponent(job.recipe.id)}/content`;
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
    if (act === "continue") return continueChat(chatOf(this.job));
    if (act === "use") return usePicture(pictureOf(this.job));
    button.disabled = true;
    try {
      if (act !== "cancel" && !(await mayCostAgain(this.job))) return;
      take(await call("POST", `/api/jobs/${this.job.id}/${act}`));
      showProblem(this.part("problem"), null);
    } catch (error) {
      showProblem(this.part("problem"), error);
      if (error.body && error.body.job) take(error.body.job);
    } finally {
      button.disabled = false;
      if (document.activeElement === document.body) button.focus();
    }
  }
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
  const step = `step ${progress.step || 0} of ${progress.steps}`;
  if (progress.steps && !(progress.message || "").startsWith(step)) parts.push(step);
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

// Files that are not shown; many of them are folded away, except for an archive of them all.
function fileList(files, job) {
  const list = (entries) => {
    const box = element("ul", "", { class: "files" });
    for (const entry of entries) {
      const item = element("li");
      item.append(file(entry, job), element("span", ` ${size(entry.size_bytes)}`, { class: "hint" }));
      box.append(item);
    }
    return box;
  };
  if (files.length <= 3) return files.length ? [list(files)] : [];
  const whole = files.filter((entry) => entry.media_type === "application/zip");
  const single = files.filter((entry) => !whole.includes(entry));
  const folded = element("details");
  folded.append(element("summary", plural(single.length, "file", "files")), list(single));
  return whole.length ? [list(whole), folded] : [folded];
}

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
