// The built-in page: live events, and what is read again now and then.
"use strict";

let source = null;
let lastSeen = "";
let pause = 1000;

function connect() {
  source = new EventSource(`/api/jobs/stream${lastSeen ? `?last_event_id=${encodeURIComponent(lastSeen)}` : ""}`);
  source.addEventListener("open", () => {
    pause = 1000;
    setLink("live", "live");
    for (const box of document.querySelectorAll(".problem.silence")) showProblem(box, null);
    refresh();
  });
  source.addEventListener("job", (event) => {
    lastSeen = event.lastEventId || lastSeen;
    const job = JSON.parse(event.data);
    take(job);
    countSoon();
    if (job.spend) spendSoon();
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
    await Promise.all([refreshUnfinished(), refreshFleet(), refreshCounts(), refreshSpend()]);
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

// Each by itself: one that cannot be had does not keep the other from being shown.
async function refreshFleet() {
  const workers = call("GET", "/api/workers").then((told) => {
    takeFleet(told.workers);
    showWorkers(told.workers);
    return loadFlux();
  });
  const workflows = call("GET", "/api/workflows").then((told) => takeWorkflows(told.workflows));
  // the event stream shows whether the gateway is there
  await Promise.allSettled([workers, workflows]);
}

find("more").addEventListener("click", () => loadPage(olderCursor).catch(() => {}));
setInterval(refreshFleet, 10000);
setInterval(() => { if ([...stands.values()].some((stand) => stand.isMoving)) refreshFleet(); }, 2000);
setInterval(refreshCounts, 10000);
setInterval(refreshSpend, 10000);
setInterval(refreshWaiting, 5000);
showForm();
connect();
