// The built-in page: what was spent and what is left, and the calls of which nobody knows whether they went through.
"use strict";

const doubted = new Map(); // job -> its account, where the outcome is unknown
const doubts = new Map(); // job -> its line in the panel

// ---------------------------------------------------------------- the panel

let spending = null;

function spendSoon() {
  spending ??= setTimeout(() => {
    spending = null;
    refreshSpend();
  }, 1000);
}

async function refreshSpend() {
  try {
    showSpend(await call("GET", "/api/spend?state=unknown&limit=500"));
    await refreshCosts();
  } catch {
    // the event stream shows whether the gateway is there
  }
}

function showSpend(told) {
  const sum = (name) => BigInt(told[`${name}_microdollars`] || 0);
  const paid = [...PAID].some((backend) => offers.has(backend));
  const any = sum("charged") + sum("reserved") + sum("unknown") > 0n || Number(told.unknown_jobs || 0) > 0;
  const isShown = Boolean(told.allowed) || paid || any;
  find("money").hidden = !isShown;
  find("money-link").hidden = !isShown;
  const count = Number(told.unknown_jobs || 0);
  setText(find("money-link"), count ? `Money (${count} unknown)` : "Money");
  const state = told.allowed ? "Jobs that cost money are accepted." : "Switched off: ALLOW_GENERATION (paid.allow) is not true, so nothing is spent.";
  setText(find("money-hint"), [state, told.prices_of && `Prices of ${told.prices_of}.`].filter(Boolean).join(" "));
  showBudgets(told.budgets || []);
  showSums([
    ["Charged today", sum("charged_today")], ["Charged in all", sum("charged")],
    ["Set aside", sum("reserved")], ["Unknown", sum("unknown")],
  ]);
  takeDoubts(told.accounts || []);
}

function showBudgets(budgets) {
  const list = find("budgets");
  const text = JSON.stringify(budgets);
  if (list.dataset.told === text) return;
  list.dataset.told = text;
  list.replaceChildren(...budgets.map((budget) => budgetLine(budget)));
  if (!budgets.length) list.append(element("li", "There is no limit to what may be spent."));
}

function showSums(sums) {
  const box = find("sums");
  const text = sums.join();
  if (box.dataset.told === text) return;
  box.dataset.told = text;
  box.replaceChildren(...sums.map(([name, amount]) => {
    const pair = element("div");
    pair.append(element("dt", name), element("dd", dollars(amount)));
    return pair;
  }));
}

// ---------------------------------------------------------------- outcomes that nobody knows

function takeDoubts(accounts) {
  const there = new Map(accounts.filter((account) => account.state === "unknown").map((account) => [account.job, account]));
  const changed = new Set([...there.keys(), ...doubted.keys()].filter((job) => there.has(job) !== doubted.has(job)));
  doubted.clear();
  for (const [job, account] of there) doubted.set(job, account);
  for (const job of changed) if (jobs.has(job)) jobs.get(job).schedule();
  for (const [job, line] of doubts) {
    if (there.has(job)) continue;
    line.remove();
    doubts.delete(job);
  }
  for (const account of there.values()) {
    if (doubts.has(account.job)) continue;
    const line = element("li", "", { class: "job" });
    const box = element("article");
    const words = [account.backend, account.model, account.since && new Date(account.since).toLocaleString()];
    box.append(element("h4", words.filter(Boolean).join(" · ")), element("p", `Job ${account.job}`, { class: "hint" }));
    const folded = element("details");
    folded.append(element("summary", "Say what became of it"), resolution(account));
    box.append(folded);
    line.append(box);
    doubts.set(account.job, line);
    find("unknown-jobs").append(line);
  }
  find("unknown").hidden = doubts.size === 0;
}

let resolutions = 0;

// A form in which a person says what became of the call.
function resolution(account) {
  resolutions += 1;
  const form = element("form", "", { class: "doubt", novalidate: "" });
  const id = (name) => `resolution-${resolutions}-${name}`;
  const choice = (value, words) => {
    const box = element("p", "", { class: "field tick" });
    const input = element("input", "", { type: "radio", name: "charged", value, id: id(value) });
    box.append(input, element("label", words, { for: input.id }));
    return box;
  };
  const field = (name, words, attributes) => {
    const box = element("p", "", { class: "field" });
    const input = element("input", "", { type: "text", id: id(name), name, autocomplete: "off", ...attributes });
    box.append(element("label", words, { for: input.id }), input);
    return box;
  };
  const reserved = dollars(account.reserved_microdollars);
  const found = element("fieldset");
  found.append(
    element("legend", "What does the account at the service say?"),
    choice("no", "It was not charged"), choice("yes", "It was charged"),
  );
  const amount = field("amount", "How much, in dollars", { inputmode: "decimal", placeholder: `${reserved}, as was set aside` });
  amount.hidden = true;
  const problem = element("div", "", { class: "problem", role: "alert" });
  problem.hidden = true;
  const why = account.reason ? `${account.reason}. ` : "";
  const reference = account.reference ? ` The service calls it ${account.reference}.` : "";
  form.append(
    element("p", `${why}${reserved} stay set aside.${reference}`, { class: "why" }),
    found, amount,
    field("note", "How you found out", { maxlength: "1000", placeholder: "e.g. looked at the usage page" }),
    problem,
    element("button", "Write it into the ledger", { type: "submit" }),
  );
  found.addEventListener("change", () => { amount.hidden = form.elements.charged.value !== "yes"; });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    resolve(account.job, form, problem);
  });
  return form;
}

async function resolve(job, form, problem) {
  const button = form.querySelector("button");
  if (button.disabled) return;
  const { charged, amount, note } = form.elements;
  button.disabled = true;
  try {
    if (!charged.value) throw new Problem(0, { detail: "Say whether it was charged." });
    if (!note.value.trim()) throw new Problem(0, { detail: "Say how you found out; it goes into the ledger." });
    const body = { charged: charged.value === "yes", note: note.value.trim() };
    if (body.charged && amount.value.trim()) body.amount = amount.value.trim();
    await call("POST", `/api/spend/${encodeURIComponent(job)}/resolve`, JSON.stringify(body));
    showProblem(problem, null);
    announce("Written into the ledger");
    await refreshSpend();
    if (document.activeElement === document.body) find("money-title").focus();
  } catch (error) {
    showProblem(problem, error);
  } finally {
    button.disabled = false;
  }
}

// ---------------------------------------------------------------- the money of one job

function isCharged(job) { return Boolean(job.spend) && job.spend.charged_microdollars !== undefined; }

// What a job cost may become known only after it is over, without the job itself changing.
async function refreshCosts() {
  const due = ({ job, finished }) => finished && job.spend && !isCharged(job) && !doubted.has(job.id);
  for (const card of [...jobs.values()].filter(due).slice(0, 20)) {
    take(await call("GET", `/api/jobs/${encodeURIComponent(card.job.id)}`));
  }
}

function costText(job) {
  const { spend } = job;
  if (!spend) return "";
  const reserved = dollars(spend.reserved_microdollars);
  if (doubted.has(job.id)) return `${reserved} set aside; nobody knows whether it was charged`;
  if (!isCharged(job)) {
    return FINISHED.has(job.status) ? `${reserved} set aside; what it cost is not known yet` : `${reserved} set aside`;
  }
  if (BigInt(spend.charged_microdollars) === 0n) return "Cost nothing";
  const charged = dollars(spend.charged_microdollars);
  return spend.estimated ? `Cost about ${charged}, by the price table` : `Cost ${charged}`;
}

function renderMoney(card, job) {
  const cost = card.part("cost");
  setText(cost, costText(job));
  cost.hidden = !cost.textContent;
  const box = card.part("doubts");
  const account = doubted.get(job.id);
  box.hidden = !account;
  if (!account) box.replaceChildren();
  else if (!box.childElementCount) box.append(resolution(account));
}
