// The built-in page: asks before it spends. A request that may cost money is priced first, which costs nothing;
// only what a person says to the price submits it.
"use strict";

const HASTE = 500; // a click this soon after the question came or went (ms) was meant for what was there before
const SCOPES = { total: "In all", day: "Today", key: "With this key" };

// Amounts are in millionths of a dollar, exact, in text.
function dollars(micros) {
  const amount = BigInt(micros || 0);
  const decimals = String(amount % 1000000n).padStart(6, "0").replace(/0{1,4}$/, "");
  return `$${amount / 1000000n}.${decimals}`;
}

// Only a graph can hold nodes that cost money, and only the gateway knows which do.
function mayCost(wanted) {
  return Boolean(wanted.flux || wanted.v0 || (wanted.comfyui && (wanted.comfyui.graph || wanted.comfyui.workflow)));
}

// Whether the request may be submitted; a refusal is thrown as a problem.
async function mayBeSpent(wanted) {
  if (!mayCost(wanted)) return true;
  const { estimate } = await call("POST", "/api/jobs", JSON.stringify({ ...wanted, dry_run: true }));
  if (!estimate) return true;
  if (estimate.refusal) {
    const { refusal: detail, refusal_code: code, remedy } = estimate;
    throw new Problem(0, { detail, remedy, code });
  }
  const amount = BigInt(estimate.microdollars || 0);
  if (amount === 0n) return true;
  const { prompt = "", model } = wanted.flux || wanted.v0 || {};
  return askToPay({ about: [model, prompt].filter(Boolean).join(": "), amount, basis: estimate.basis });
}

// Whether a job that costs money may be let go, or made once more.
async function mayCostAgain(job) {
  const amount = BigInt((job.spend || {}).reserved_microdollars || 0);
  if (amount === 0n) return true;
  const held = job.status === "created";
  const basis = held ? "This is set aside already." : "This was set aside for it the last time; the price may have changed.";
  return askToPay({ about: title(job), amount, basis, isSetAside: held });
}

async function askToPay({ about: words, amount, basis, isSetAside }) {
  const { budgets = [] } = await call("GET", "/api/spend?limit=1").catch(() => ({}));
  const box = find("pay");
  // one question at a time
  if (box.open) return false;
  setText(find("pay-title"), "This costs money");
  setText(find("pay-about"), words.length > 200 ? `${words.slice(0, 200)} …` : words);
  setText(find("pay-price"), `At most ${dollars(amount)}`);
  setText(find("pay-basis"), basis || "");
  find("pay-budgets").replaceChildren(...budgets.map((budget) => budgetLine(budget, isSetAside ? 0n : amount)));
  setText(find("pay-yes"), `Spend ${dollars(amount)}`);
  box.returnValue = "";
  box.showModal();
  find("pay-no").focus();
  turned = performance.now();
  return new Promise((resolve) => {
    box.addEventListener("close", () => resolve(box.returnValue === "yes"), { once: true });
  });
}

let turned = -HASTE; // when the question came, or was answered

function isHasty() { return performance.now() - turned < HASTE; }

for (const kind of ["mousedown", "click"]) {
  document.addEventListener(kind, (event) => {
    // the keyboard makes clicks too, but not of this kind
    if (event.detail === 0 || !isHasty()) return;
    event.preventDefault();
    event.stopPropagation();
  }, true);
}

// A budget with a bar; with what would be left after `wanted`, where that is asked for.
function budgetLine(budget, wanted = 0n) {
  const [limit, used, left] = ["limit", "used", "left"].map((name) => BigInt(budget[`${name}_microdollars`] || 0));
  const scope = SCOPES[budget.scope] || budget.scope;
  const after = left > wanted ? left - wanted : 0n;
  const more = wanted > 0n ? `, ${dollars(after)} after this` : "";
  const text = `${scope}: ${dollars(left)} of ${dollars(limit)} left${more}`;
  const line = element("li");
  const bar = element("progress", "", { max: "1", "aria-label": `${scope}: share of the budget that is used` });
  bar.value = limit > 0n ? Math.min(Number(used + wanted) / Number(limit), 1) : 1;
  bar.classList.toggle("full", bar.value >= 0.9);
  line.append(element("span", text), bar);
  return line;
}

function answer(words) {
  turned = performance.now();
  find("pay").close(words);
}

// the escape key makes no second click
find("pay").addEventListener("cancel", () => { turned = -HASTE; });
find("pay-no").addEventListener("click", () => answer(""));
find("pay-yes").addEventListener("click", () => { if (!isHasty()) answer("yes"); });
